"""Programs and people."""

import json
import os
from pathlib import Path

import pytest

from experiments.splitter.bots import is_bot
from tests.experiments.splitter.serving import CHROME

needs_corpora = pytest.mark.skipif("CORPORA_DIR" not in os.environ, reason="needs the folder named by CORPORA_DIR")


def user_agents(name: str) -> list[str]:
    path = Path(os.environ["CORPORA_DIR"]) / "user_agents" / name
    return [json.loads(line)["ua"] for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        " ",
        "-",
        "x",
        "Mozilla/5.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "curl/8.5.0",
        "Wget/1.21",
        "python-requests/2.32",
        "Python/3.12 aiohttp/3.9",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "Java/17.0.2",
        "axios/1.6",
        "node-fetch/1.0",
        "Apache-HttpClient/4.5 (Java/11)",
        "PostmanRuntime/7.29",
        "ApacheBench/2.3",
        "k6/0.49 (https://k6.io/)",
        "wrk/4.2",
        CHROME.replace("Chrome", "HeadlessChrome"),
        "SomethingBot/1.0",
        "my-crawler",
        "a" * 1_000_000,
    ],
)
def test_programs_are_bots(user_agent: str):
    assert is_bot(user_agent)


@pytest.mark.parametrize(
    "user_agent",
    [
        CHROME,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/110.0.0.0 "
        "Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
        "Chrome/126.0.0.0 Mobile Safari/537.36 SpeedTest/5.1 ServiceDesk/2",
    ],
)
def test_peoples_browsers_are_not(user_agent: str):
    assert not is_bot(user_agent)


@pytest.mark.corpora
@needs_corpora
def test_98_of_100_known_bots_are_caught():
    bots = user_agents("bots.jsonl")
    caught = sum(is_bot(user_agent) for user_agent in bots)
    assert caught / len(bots) >= 0.98, f"{caught} of {len(bots)}"


@pytest.mark.corpora
@needs_corpora
def test_no_persons_browser_is_misjudged():
    assert [user_agent for user_agent in user_agents("browsers.jsonl") if is_bot(user_agent)] == []
