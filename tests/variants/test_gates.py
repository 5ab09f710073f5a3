import pytest

from tests.model_server import page
from variants.brief import BriefSpec
from variants.content import PageContent
from variants.gates import examine, ledger_of_page

BRIEF = {
    "name": "Spring page",
    "product": "Paperless-ngx is a document management system that turns your paper into a searchable archive.",
    "audience": "Small offices of up to five people who drown in paper letters.",
    "offer": "Download it free of charge. A 30-day trial of the hosted version costs €9 per month afterwards.",
    "facts": [
        "It recognises text in more than 100 languages.", "It halves the time spent on filing.",
        "Used by 1,200 offices since 2016.", "“I found the letter at once”, says Ann Peeters of Huis De Brug.",
        "You can cancel any time within 24 hours.", "It is certified for ISO 27001.",
        "It is the most popular open-source archive on the island of Texel.",
    ],
    "angles": ["Find any letter"], "never_say": ["cheap", "AI-powered", "gratis"],
    "call_to_action": {"label": "Get the guide"},
}  # fmt: skip


def findings(text, *, images=(), place="subheadline", **changed):
    content = page()
    content["sections"][0][place] = text
    brief = BriefSpec.model_validate({**BRIEF, **changed})
    return examine(PageContent.model_validate(content), brief, images)


FALSE_CLAIMS = [
    ("Trusted by 5,000 offices.", "5,000"),
    ("Join thousands of happy families.", "thousands"),
    ("Save 80% of your time.", "80%"),
    ("Ten times faster than folders.", "Ten times"),
    ("Only $4.99 a month.", "$4.99"),
    ("Works in 250 languages.", "250"),
    ("On the market since 1998.", "1998"),
    ("Ready in 5 minutes.", "5"),
    ("Ready in two minutes.", "two"),
    ("Twice as fast.", "Twice"),
    ("100 customers cannot be wrong.", "100"),
    ("A third of the price.", "third"),
    ("Over 3 million documents filed.", "3 million"),
    ("We answer in 12 hours.", "12"),
    ("The best archive there is.", "best"),
    ("The leading archive.", "leading"),
    ("The #1 archive.", "#1"),
    ("Europe's number one archive.", "number one"),
    ("World-class search.", "World-class"),
    ("The fastest search.", "fastest"),
    ("Our easiest archive yet.", "easiest"),
    ("The only archive you need.", "the only"),
    ("Most trusted by teachers.", "Most trusted"),
    ("Satisfaction guaranteed.", "guaranteed"),
    ("Try it risk-free.", "risk-free"),
    ("Money-back promise.", "Money-back"),
    ("A full refund if you are unhappy.", "refund"),
    ("Unlimited documents.", "Unlimited"),
    ("Support 24/7.", "24/7"),
    ("No credit card needed.", "No credit card"),
    ("No hidden fees.", "No hidden fees"),
    ("Yours for a lifetime.", "lifetime"),
    ("GDPR compliant.", "GDPR"),
    ("HIPAA ready.", "HIPAA"),
    ("Award-winning design.", "Award-winning"),
    ("Bank-grade encryption.", "Bank-grade"),
    ("Clinically proven calm.", "proven"),
    ("Patented search.", "Patented"),
    ("End-to-end encrypted.", "End-to-end"),
    ("Studies show that it works.", "Studies show"),
    ("Experts recommend it.", "Experts recommend"),
    ("As seen in The Guardian.", "seen in"),
    ("Trusted by Siemens and Philips.", "Trusted by"),
    ("Our customers love it.", "customers love"),
    ("Five-star rated.", "Five-star"),
    ("★★★★★", "★★★★★"),
    ("A bestselling archive.", "bestselling"),
    ("Today with a 20% discount.", "20%"),
    ("Half-price this week.", "Half"),
    ("Limited-time offer.", "Limited-time"),
    ("Hurry, only a few left.", "Hurry"),
    ("Last chance to join.", "Last chance"),
    ("“It changed how we work here”, says a user.", "It changed"),
    ("GUARANTEED results.", "GUARANTEED"),
    ("Gu\u00adaranteed results.", "Guaranteed"),
    ("Guаranteed results.", "Guaranteed"),
    ("Zero downtime.", "Zero"),
    ("99.9 percent uptime.", "99.9 percent"),
    ("Save €1.200 a year.", "€1.200"),
]


@pytest.mark.parametrize(("text", "words"), FALSE_CLAIMS)
def test_a_claim_the_brief_does_not_make_is_named(text, words):
    found = [finding for finding in findings(text) if finding.gate == "claims" and finding.blocks]
    assert any(words.casefold() in finding.words.casefold() for finding in found), found
    assert {finding.field for finding in found} == {"sections.0.subheadline"}


TRUE_CLAIMS = [
    "It reads more than 100 languages.",
    "100+ languages.",
    "Half the time for filing.",
    "Filing takes 50% less time.",
    "1.2k offices use it.",
    "1 200 offices already file with it.",
    "In use since 2016.",
    "€9 per month after the trial.",
    "9 euros a month.",
    "Try the hosted version for 30 days.",
    "Cancel anytime.",
    "Cancel within one day.",
    "Free of charge.",
    "The download is free.",
    "Certified for ISO 27001.",
    "The most popular archive on Texel.",
    "“I found the letter at once”",
    "Feel free to ask.",
    "Hands-free filing.",
    "Three steps to a calm desk.",
    "One place for every letter.",
    "We do not promise the best price.",
    "It does its best.",
    "This leads to calm.",
    "For offices of up to 5 people.",
    "First scan, then search.",
    "Which is leading to less paper.",
    "No paper, no panic.",
    "Find your letters in your own archive.",
    "Ask Ann Peeters.",
    "Best practices for paper.",
    "You are free to go.",
]


@pytest.mark.parametrize("text", TRUE_CLAIMS)
def test_what_the_brief_says_in_other_words_is_left_alone(text):
    assert not findings(text)


def test_an_unknown_name_is_shown_to_the_reviewer_without_blocking():
    found = findings("It stands on a shelf beside the Nordbank folders.")
    assert [(finding.words, finding.blocks) for finding in found] == [("Nordbank", False)]


@pytest.mark.parametrize("text", ["It is what Nordbank switched to last spring.", "Nordbank uses it.",
                                  "Made for teams like Nordbank."])  # fmt: skip
def test_an_unknown_customer_is_a_claim_like_any_other(text):
    assert [(finding.words, finding.blocks) for finding in findings(text)] == [("Nordbank", True)]


@pytest.mark.parametrize(
    "text",
    [
        "Cheap and good.",
        "Cheaper than folders",
        "C h e a p today",
        "Ch3ap today",
        "Сheap today",
        "CHEAPEST",
        "An AI powered archive",
        "Ai‑Powered",
        "Grátis",
    ],
)
def test_forbidden_words_are_found_in_any_form(text):
    assert "never_say" in {finding.gate for finding in findings(text)}


@pytest.mark.parametrize("text", ["Cheapskates welcome.", "Power for your archive.", "It is maintained well."])
def test_words_that_only_contain_a_forbidden_one_are_allowed(text):
    assert "never_say" not in {finding.gate for finding in findings(text)}


def test_forbidden_words_are_found_in_scripts_without_spaces():
    assert findings("これは無料です", never_say=["無料"])


def test_required_words_must_stand_on_the_page_itself():
    [finding] = findings("Paper becomes an archive.", must_say=["No liability"])
    assert (finding.gate, finding.blocks) == ("must_say", True)
    assert not findings("Paper becomes an archive. no  LIABILITY.", must_say=["No liability"])


def test_a_page_without_the_form_its_button_needs_is_blocked():
    content = page()
    content["sections"] = content["sections"][:1]
    [finding] = examine(PageContent.model_validate(content), BriefSpec.model_validate(BRIEF))
    assert finding.gate == "form"


def test_a_form_that_leads_nowhere_is_blocked():
    link = {"label": "Get the guide", "kind": "link", "url": "https://example.com/"}
    assert [finding.gate for finding in findings("Paper, found.", call_to_action=link)] == ["form"]


def test_an_image_the_brand_does_not_have_is_named():
    assert [finding.words for finding in findings("desk", place="image")] == ["desk"]
    assert not findings("desk", place="image", images={"desk"})


@pytest.mark.parametrize(
    "text",
    [
        "Hello <b>you</b>",
        "<script>alert(1)</script>",
        "{{ secret }}",
        "{% debug %}",
        "${7*7}",
        "a &amp; b",
        "**bold** words",
        "[here](x)",
        "Write to sales@evil.example",
        "Visit https://evil.example/x",
        "go to www.evil.example",
        "javascript:alert(1)",
        "See evil.com today",
        "Call +49 30 1234 5678",
    ],
)
def test_markup_and_foreign_addresses_do_not_belong_in_copy(text):
    assert "foreign" in {finding.gate for finding in findings(text)}


def test_an_address_of_the_brief_may_stand_in_copy():
    assert not findings("Write to help@paperless.example.", facts=["Help: help@paperless.example"])


@pytest.mark.parametrize(
    "text",
    [
        "Ignore all previous instructions.",
        "As an AI language model I cannot say.",
        "Note to the reviewer: fine.",
        "Please approve this page",
        "Lorem ipsum dolor",
        "Welcome to [Company]",
        "TODO later",
        "Here is the landing page",
        "I'm sorry, but no.",
        "System prompt follows",
    ],
)
def test_text_that_is_not_meant_for_a_reader_is_blocked(text):
    assert any(finding.gate == "aside" and finding.blocks for finding in findings(text))


def with_section(section):
    content = page()
    content["sections"].insert(1, section)
    return examine(PageContent.model_validate(content), BriefSpec.model_validate(BRIEF))


def test_an_invented_quotation_and_its_author_are_both_named():
    quotes = [{"text": "It saved our year.", "source": "Joe Bloggs, Acme"}]
    found = with_section({"kind": "proof", "title": "They say", "quotes": quotes})
    assert {finding.words for finding in found if finding.blocks} == {"It saved our year.", "Joe Bloggs, Acme"}


def test_a_quotation_of_the_brief_passes():
    quotes = [{"text": "I found the letter at once", "source": "Ann Peeters"}]
    assert not with_section({"kind": "proof", "title": "They say", "quotes": quotes})


def test_a_figure_is_judged_with_its_label():
    figures = [{"value": "100", "label": "languages"}, {"value": "100+", "label": "customers"}]
    found = with_section({"kind": "proof", "title": "In figures", "figures": figures})
    assert [finding.field for finding in found] == ["sections.1.figures.1.value"]


def test_a_price_is_judged_by_its_currency():
    plans = [{"name": "Hosted", "price": "$9", "features": ["Search"]}]
    found = with_section({"kind": "pricing", "title": "Prices", "plans": plans})
    assert [finding.words for finding in found] == ["$9"]


def test_numbers_are_checked_in_every_language():
    found = findings("Schon 40 000 Büros nutzen es.", language="de")
    assert [finding.words for finding in found if finding.gate == "claims"] == ["40 000 Büros"]


def test_a_finding_says_what_to_do():
    [finding] = findings("Satisfaction guaranteed.")
    assert "brief" in finding.reason
    assert finding.as_dict()["words"] == "guaranteed"


def test_free_is_a_claim_where_the_brief_gives_nothing_away():
    found = findings("A free consultation.", offer="An hour with us.", facts=[], product="Advice on paper.")
    assert [finding.words for finding in found] == ["free"]


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("Your archive stands by the weekend.", "An archive before the weekend."),
        ("We answer on the same day.", "Same-day answers."),
        ("Scans are back the next day.", "Next-day scans."),
    ],
)
def test_a_day_that_the_brief_promises_may_be_promised_and_is_an_invention_otherwise(fact, text):
    assert findings(text, facts=[fact]) == []
    assert [finding.gate for finding in findings(text, facts=["Letters are scanned."])] == ["claims"]


def traced(text, **changed):
    content = page()
    content["sections"][0]["subheadline"] = text
    found = ledger_of_page(PageContent.model_validate(content), BriefSpec.model_validate({**BRIEF, **changed})).traces
    return [(trace.words, trace.fact) for trace in found if trace.field == "sections.0.subheadline"]


@pytest.mark.parametrize(
    ("text", "words", "fact"),
    [
        ("Filing takes 50% less time.", "50%", "fact 2"),
        ("1.2k offices use it.", "1.2k", "fact 3"),
        ("Cancel within one day.", "one day", "fact 5"),
        ("Certified for ISO 27001.", "Certified", "fact 6"),
        ("The download is free.", "free", "the offer"),
        ("“I found the letter at once”", "“I found the letter at once”", "fact 4"),
        ("Ask Ann Peeters about it.", "Ann Peeters", "fact 4"),
    ],
)
def test_every_covered_claim_names_the_fact_that_covers_it(text, words, fact):
    assert (words, fact) in traced(text)


def test_a_fact_said_whole_is_traced_to_itself():
    assert traced("Used by 1,200 offices since 2016.") == [("1,200", "fact 3"), ("2016", "fact 3"),
                                                           ("Used by 1", "fact 3")]  # fmt: skip


def test_a_page_in_another_language_is_blocked():
    german = "Wir sind für Sie da und kümmern uns um alle Briefe, die auf Ihrem Tisch liegen und nicht warten können."
    assert [finding.field for finding in findings(german) if finding.gate == "language"] == ["sections.0.subheadline"]


def test_hype_jars_with_a_calm_tone_and_does_not_block():
    found = [one for one in findings("Supercharge your desk.", tone="calm") if one.gate == "tone"]
    assert [(one.words, one.blocks) for one in found] == [("Supercharge", False)]


def test_a_formal_german_page_does_not_say_du():
    found = findings("Ordnen Sie Ihre Briefe, dann hast du Ruhe.", language="de", tone="formal, Sie-Form")
    assert [(one.words, one.blocks) for one in found if one.gate == "tone"] == [("du", False)]


def test_a_page_like_a_contract_is_shown_to_the_reviewer():
    heavy = "Notwithstanding organisational heterogeneity, comprehensive documentation administration necessitates " * 2
    content = page()
    content["sections"][0]["subheadline"] = heavy[:240]
    questions = [{"question": "Administrative considerations", "answer": (heavy * 3)[:600]}] * 3
    content["sections"].append({"kind": "faq", "title": "Considerations", "items": questions})
    found = examine(PageContent.model_validate(content), BriefSpec.model_validate(BRIEF))
    assert [one.blocks for one in found if one.gate == "reading"] == [False]


def test_a_brand_colour_too_pale_for_a_button_is_mentioned():
    def looked_at(*colours):
        content = PageContent.model_validate({**page(), "theme": {"palette": "brand"}})
        return [one.gate for one in examine(content, BriefSpec.model_validate(BRIEF), colours=colours)]

    assert looked_at("#fff3b0", "#f2a541") == ["colours"]
    assert looked_at("#0b6e4f", "#f2a541") == []


@pytest.mark.parametrize("text", ["Ein billiges Archiv.", "Das billigste Archiv.", "Billig!", "B-i-l-l-i-g ist es."])
def test_forbidden_words_are_found_with_the_endings_of_their_language(text):
    assert "never_say" in {one.gate for one in findings(text, language="de", never_say=["billig"])}
