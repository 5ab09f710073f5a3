"""The sample experiment of `make demo`: a real product, with facts from its own pages.

Paperless-ngx is a community's open-source project. Every fact below stands at the source given with it; nothing else is
claimed. The page asks for an e-mail address, and says on its thank-you page that a sample sends none.
"""

from variants.brief import ActionLink, BriefSpec, CallToActionSpec, Fact, FormField
from variants.content import (
    FAQ,
    Benefit,
    Benefits,
    FormSection,
    Hero,
    HowItWorks,
    Meta,
    PageContent,
    Question,
    Step,
    Theme,
)

DOCS = "https://docs.paperless-ngx.com/"
USAGE = f"{DOCS}usage/"
QUESTIONS = f"{DOCS}faq/"
SOURCE = "https://github.com/paperless-ngx/paperless-ngx"

BRAND = {
    "name": "Paperless-ngx",
    "voice": "calm, plain, exact; speaks like a neighbour who has already done it",
    "primary_colour": "#17541f",
    "accent_colour": "#d98e04",
    "legal_footer": (
        "A sample page made with Greenhouse. Paperless-ngx is the project of its own community, "
        "which neither made nor asked for this page."
    ),
    "privacy_url": "https://docs.paperless-ngx.com/",
}

FACTS = [
    Fact(
        text="Paperless-ngx is a community-supported open-source document management system that transforms your "
        "physical documents into a searchable online archive.",
        source=DOCS,
    ),
    Fact(
        text="It performs OCR on your documents, adding searchable and selectable text, even to documents scanned "
        "with only images.",
        source=DOCS,
    ),
    Fact(text="It uses the open-source Tesseract engine to recognize more than 100 languages.", source=DOCS),
    Fact(
        text="Your data is stored locally on your server and is never transmitted or shared in any way, unless you "
        "explicitly choose to do so.",
        source=DOCS,
    ),
    Fact(
        text="Documents are saved in PDF/A format, which is designed for long term storage, alongside the unaltered "
        "originals.",
        source=DOCS,
    ),
    Fact(
        text="It uses machine learning to automatically add tags, correspondents and document types to your documents.",
        source=DOCS,
    ),
    Fact(
        text="Full text search suggests relevant words from your documents, sorts results by relevance and highlights "
        "which parts of the document matched.",
        source=DOCS,
    ),
    Fact(
        text="It supports PDF documents, images and plain text files; Office documents with the optional Apache Tika.",
        source=DOCS,
    ),
    Fact(
        text="It imports documents from your e-mail accounts, with rules for each account, and checks them every "
        "10 minutes.",
        source=USAGE,
    ),
    Fact(text="It watches a folder and adds all documents in that folder.", source=USAGE),
    Fact(
        text="It never modifies your original documents, and keeps checksums to check that they remain the same.",
        source=QUESTIONS,
    ),
    Fact(
        text="Your documents are stored as plain files; you can always take those files out and use them elsewhere.",
        source=QUESTIONS,
    ),
    Fact(text="Docker images are available for arm64 hardware such as the Raspberry Pi.", source=QUESTIONS),
    Fact(text="The easiest way to deploy it is docker compose, and there is an install script.", source=SOURCE),
    Fact(
        text="A demo is available at demo.paperless-ngx.com, with the login demo and the password demo.", source=SOURCE
    ),
    Fact(
        text="It is the official successor to the original Paperless and Paperless-ng projects.",
        source=SOURCE,
    ),
    Fact(
        text="The project advises to run it on a local server in your own home, with backups in place, because "
        "information is stored in clear text.",
        source=SOURCE,
    ),
]

ANGLES = [
    "Find any letter by a word that stands in it",
    "Your papers stay on your own server",
    "Drop a scan in a folder and it files itself",
]

BRIEF = BriefSpec(
    name="Paperless-ngx set-up guide",
    product="Paperless-ngx, an open-source document management system that turns scanned letters, bills and contracts "
    "into a searchable archive on your own server.",
    audience="People who keep a household's or a small office's papers in binders and boxes, can follow a set-up "
    "guide, and do not want to hand private letters to a stranger's cloud.",
    offer="The set-up guide by e-mail: what to install, how to connect a scanner, how to keep backups.",
    facts=FACTS,
    angles=ANGLES,
    must_say=["open-source"],
    never_say=["encrypted", "military-grade", "guaranteed", "risk-free", "number one"],
    tone="calm, plain and exact; no exclamation marks",
    language="en",
    call_to_action=CallToActionSpec(label="Send me the set-up guide by e-mail", kind="form"),
    secondary_link=ActionLink(label="See the source", url=SOURCE),
    form_fields=[
        FormField(name="email", label="E-mail address", kind="email", max_length=254),
        FormField(
            name="papers",
            label="What do you want to put away first?",
            kind="select",
            is_required=False,
            options=["Letters and bills", "Contracts and insurance", "Papers of a small office"],
        ),
    ],
    thank_you="Thank you. This is a sample, so no e-mail is on its way: the guide itself stands at "
    "docs.paperless-ngx.com/setup, free to read.",
)

# The page "of today": correct, complete and without an idea of its own.
CONTROL = PageContent(
    angle="What Paperless-ngx is",
    meta=Meta(
        title="Paperless-ngx: document management",
        description="Paperless-ngx is a community-supported open-source document management system.",
    ),
    theme=Theme(layout="split", palette="brand", typography="grotesk"),
    sections=[
        Hero(
            eyebrow="Open-source document management",
            headline="A document management system for your physical documents",
            subheadline="Paperless-ngx transforms your physical documents into a searchable online archive.",
            call_to_action="Send me the set-up guide by e-mail",
            note="Community-supported and open-source.",
        ),
        Benefits(
            title="Features",
            items=[
                Benefit(
                    icon="search",
                    title="Text recognition",
                    text="OCR adds searchable and selectable text, even to documents scanned with only images.",
                ),
                Benefit(
                    icon="lock",
                    title="Local storage",
                    text="Your data is stored locally on your server and is never transmitted or shared in any way, "
                    "unless you explicitly choose to do so.",
                ),
                Benefit(
                    icon="tag",
                    title="Automatic tags",
                    text="Machine learning adds tags, correspondents and document types to your documents.",
                ),
            ],
        ),
        HowItWorks(
            title="How it works",
            steps=[
                Step(title="Scan", text="Put scans into a folder that Paperless-ngx watches, or upload them."),
                Step(title="Process", text="Text is recognized and a PDF/A is saved alongside the unaltered original."),
                Step(title="Search", text="Full text search highlights which parts of the document matched."),
            ],
        ),
        FAQ(
            title="Questions",
            items=[
                Question(
                    question="Can I move to another system later?",
                    answer="Your documents are stored as plain files; you can always take them out and use them "
                    "elsewhere.",
                ),
                Question(
                    question="Where should it run?",
                    answer="The project advises to run it on a local server in your own home, with backups in place, "
                    "because information is stored in clear text.",
                ),
            ],
        ),
        FormSection(
            title="Get the set-up guide",
            text="What to install, how to connect a scanner, how to keep backups.",
            submit="Send me the set-up guide by e-mail",
        ),
    ],
)
