"""Turn a User-Agent into "a program is calling" or "a person is".

Two sources decide: the public list of known crawlers (crawler-user-agents), and rules of our own for what such a list
cannot hold: libraries, monitors and tools by the words they call themselves, an address to complain to, and names
without any browser in them. Whoever is wrongly taken for a program gets a page all the same and is merely not counted;
so rules that would catch old or rare browsers are left out.
"""

import re
from functools import lru_cache

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

MAX_USER_AGENT = 512  # characters looked at and kept in the cache
CACHE_ENTRIES = 8192  # a day's User-Agents of a busy site

# People's programs whose names hold a word of the others. Text browsers carry the name of a library besides.
_PEOPLE = re.compile(r"CUBOT|Viber/|MozacFetch/|GOGGalaxyClient|PodcastRepublic|Lynx/.*|NCSA_Mosaic/.*", re.IGNORECASE)

_KNOWN = re.compile("|".join(f"(?:{entry['pattern']})" for entry in CRAWLER_USER_AGENTS_DATA))

_PROGRAMS = re.compile(
    # what they do
    r"bot(?![a-z])|bots|robot|crawl|spider|scraper|scrapy|slurp|fetch|archiver|indexer|grabber|monitor|uptime|"
    r"(?<![a-z])scanner|checker|validator|verifi|analyzer|inspect|observator|insights|preview|screenshot|transcod|synthetic|"
    r"classifier|weblight|mediapartners|adwords|pageburst|site24x7|gomez|swcd|clamav|rssowl|^anonymous|"
    # what they are made with
    r"curl|wget|httpie|http[-_]?(?:client|lib|unit|mon)|libwww|python|perl|ruby|php|golang|go-http|"
    r"okhttp|axios|node(?:\.js|-)|undici|guzzle|postman|insomnia|rest[-_ ]?client|grpc|aiohttp|urllib|"
    r"headless|phantomjs|selenium|webdriver|puppeteer|playwright|cypress|cursor/|"
    r"apachebench|jmeter|gatling|locust|siege|vegeta|wrk|k6/|hey/|ffuf|nuclei|nikto|nmap|sqlmap|"
    # whom to complain to
    r"https?:|www\.|[a-z0-9]\.(?:com|net|org|io|app|de|ru)(?![a-z0-9])|@[a-z0-9-]+\.[a-z]|\+mailto|"
    # "Mozilla/5.0 Name/1.0": a browser says more of itself
    r"^mozilla/\d\.\d(?:,? ?\(?(?:compatible; )?[\w-]+(?:/v?[\d.]+)?\)?)?$",
    re.IGNORECASE,
)

# Words that tell a program unless they stand beside a whole browser: apps that show pages have such names too.
_DOUBTFUL = re.compile(
    r"archiv|indexing|harvest|extract|exractor|download|collect|search|seek|scan|scrap|probe|health|check|valid|verif|"
    r"analy[sz]|audit|test|perf|measure|observ|speed|thumb|render|snapshot|translat|proxy|relay|subscribers|feed|"
    r"rss(?![a-z])|podcast|hook|cron|agent(?![a-z])|client(?![a-z])|service|server|worker|java(?:/|$)|lwp|"
    r"requests?[-/]|hunter|reader",
    re.IGNORECASE,
)
_WHOLE_BROWSER = re.compile(
    r"Mozilla/5\.0 \((?:iPhone|iPad|Macintosh|Windows NT|X11|Linux)"
    r".*(?:AppleWebKit/[\d.+]+ \(KHTML, ?like Gecko\)|Gecko/\d)"
)

# A browser, or an app that shows pages, says where it runs or with what it draws.
_BROWSERS = re.compile(
    r"mozilla/|opera|webkit|gecko|dalvik|cfnetwork|darwin|android|iphone|ipad|windows|macintosh|linux|x11|symbian|nokia|"
    r"midp|blackberry|amiga|playstation|nintendo|lynx|links|w3m|"
    r"up\.browser|quicktime|roku|pinterest|microsoft office",
    re.IGNORECASE,
)


def is_bot(user_agent: str) -> bool:
    """Tell whether a program is calling."""
    return _judged(user_agent[:MAX_USER_AGENT])


@lru_cache(maxsize=CACHE_ENTRIES)
def _judged(user_agent: str) -> bool:
    telling = _PEOPLE.sub("", user_agent)
    if not _BROWSERS.search(user_agent):
        return telling == user_agent
    if _DOUBTFUL.search(telling) and not _WHOLE_BROWSER.search(user_agent):
        return True
    return _PROGRAMS.search(telling) is not None or _KNOWN.search(telling) is not None
