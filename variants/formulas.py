"""The phrases of the offline twin: neutral words that stand between the sentences of a brief and claim nothing.

In headlines {a} is the angle as a phrase within a sentence, {A} the same at a sentence's start, {W} and {w} a fact of
the brief likewise, {p} the product's name. English; for other languages the twin uses the brief's own words alone.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """A light in which facts are shown: a sentence for the top of a page, and a section that leads the reader on."""

    line: str
    title: str
    steps: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        return " ".join([self.line, self.title, *(part for step in self.steps for part in step)])


def _framing(line: str, title: str, *steps: tuple[str, str]) -> Framing:
    return Framing(line=line, title=title, steps=steps)


# They tell the reader how to look at it, never what it is: so they fit any product and trace to no fact. Nor do they
# name things of a world the brief may not be about: “over coffee” reads oddly on a page that sells coffee.
FRAMINGS = (
    _framing(
        "Hold it against what you use today.", "How to compare",
        ("List what you need", "Write down what a good answer has to do for you, before anybody sells you one."),
        ("Hold each offer against the list", "Cross out what you would not use."),
        ("Choose what is left", "A short list makes a quiet decision."),
    ),
    _framing(
        "Doubt is a good start.", "For people who doubt",
        ("Say the doubt out loud", "It often shrinks to a single question once it is spoken."),
        ("Look for the answer here", "If a sentence on this page settles it, good."),
        ("Ask us if it does not", "An honest no is worth as much as a yes."),
    ),
    _framing(
        "What you compete with is an old habit.", "Changing a habit",
        ("Notice it", "Watch how you do it today, without judging yourself."),
        ("Pick the moment", "Choose an ordinary day; there is always one near."),
        ("Compare with the old way", "You know it well, so the difference is easy to feel."),
    ),
    _framing(
        "Think of the person whose advice you would ask.", "Talk it over",
        ("Show it to somebody", "Read this page together with a friend or a colleague."),
        ("Listen to the objection", "Others see what one overlooks."),
        ("Sleep on it", "A good choice looks the same in the morning."),
    ),
    _framing(
        "Leaving things as they are is a choice, too.", "If nothing changes",
        ("Look ahead", "Picture the same trouble, still there when another year has gone by."),
        ("Count what it takes", "Patience, money, temper: what does it ask of you?"),
        ("Decide on purpose", "Staying is fine when you have chosen it."),
    ),
    _framing(
        "Picture the day on which you have it.", "A day, in your mind",
        ("Morning", "Where would you be when you need it?"),
        ("Noon", "Who would stand beside you, and what would they say?"),
        ("Evening", "What would you say of it, looking back?"),
    ),
    _framing(
        "Begin with something small.", "Small steps",
        ("Pick a single thing", "Not everything at once: one worry, one task."),
        ("See how it feels", "Stay with it until it is ordinary."),
        ("Add the next", "Or stop there, and be content."),
    ),
    _framing(
        "What would you rather think about?", "Room for other things",
        ("Something you enjoy", "Would there be more of it?"),
        ("Something you have put off for too long", "Would it come nearer?"),
        ("Nothing at all", "That is a plan as well."),
    ),
    _framing(
        "A fair offer can be checked.", "How to check an offer",
        ("Is it written down?", "What counts should stand on the page, not be told in passing."),
        ("Is it about you?", "Skip whatever was written for somebody else."),
        ("Can you say no?", "A fair offer survives a refusal."),
    ),
    _framing(
        "You have tried other things before.", "What you have tried before",
        ("What went wrong?", "Name it, so that you see it coming."),
        ("What was good?", "Keep that; it was worth the trouble."),
        ("What was missing?", "Look for exactly this here."),
    ),
    _framing(
        "Start from the question you have.", "From a question to an answer",
        ("Say what you want to know", "A single question is enough to begin with."),
        ("Read with it in mind", "The facts stand above and below."),
        ("See what is left open", "Ask us exactly that."),
    ),
    _framing(
        "Know where you want to be.", "Where you are, and where you want to be",
        ("Mark your place", "What does an ordinary week look like?"),
        ("Mark the destination", "What should be different there?"),
        ("Draw the line between", "See what stands in the way, and what bridges it."),
    ),
    _framing(
        "Tell it as you would tell a child.", "In words for a child",
        ("What is it?", "A sentence without long words will do."),
        ("Who is it for?", "For somebody with a face and a name."),
        ("Why would they want it?", "If that is hard to say, ask us."),
    ),
    _framing(
        "Somebody will ask you why.", "What to tell the others",
        ("The one who is curious", "Show the facts on this page, and let them speak."),
        ("The one who is tired of changes", "Start with what stays the same."),
        ("The one who pays", "Say what it asks for, and what comes back."),
    ),
    _framing(
        "Take your time.", "No hurry",
        ("Read", "This page is short, and it stays where it is."),
        ("Put it aside", "Let other things come first for a while."),
        ("Come back", "If you still think of it then, you have your answer."),
    ),
    _framing(
        "Look at it as an engineer would.", "What goes in, what comes out",
        ("What goes in?", "List what you would have to supply."),
        ("What comes out?", "List what you expect in return."),
        ("Where could it break?", "Put those questions to us; they are the good ones."),
    ),
    _framing(
        "Some things are learned by watching.", "Watch before you act",
        ("Find somebody who does it well", "It may be somebody you know."),
        ("See what they leave out", "Skill shows in what is not done."),
        ("Borrow their order", "Do the same things in the same sequence, once."),
    ),
    _framing(
        "Ask how it does on a bad day.", "On a bad day",
        ("When does it go wrong for you?", "Name the day and the hour at which it did."),
        ("Read this page with that hour in mind", "Good days tell little."),
        ("Ask about the worst of it", "We would rather hear it before than after."),
    ),
    _framing(
        "What would you miss?", "Turn it round",
        ("Imagine that you had it, and lost it", "What would be gone from your week?"),
        ("If nothing comes to mind", "Then it is not for you, and that is useful to know."),
        ("If something does", "Follow it: that is what this page is about."),
    ),
    _framing(
        "Old friends have no sales pitch.", "As a friend would put it",
        ("What it is", "A friend would say it in a single breath."),
        ("What it is not", "A friend would warn you as well."),
        ("What to do about it", "Have a look, and tell me what you think."),
    ),
    _framing(
        "What could you stop doing?", "What you can leave behind",
        ("The list of good intentions", "Nobody reads it again."),
        ("The feeling that others manage better", "They have such a list, too."),
        ("The search for perfection", "What works is enough."),
    ),
    _framing(
        "Put it in one sentence.", "What you want, in one sentence",
        ("What do you want?", "Say it in your own words, not in ours."),
        ("What has kept you from it?", "That is the question to bring."),
        ("Which weighs more today?", "If it is the wish, read on."),
    ),
    _framing(
        "Begin with what you have.", "What is there already",
        ("What works?", "It may stay as it is."),
        ("What keeps coming back?", "Trouble that returns again and again wants another answer."),
        ("What would you change first?", "One thing is plenty for a beginning."),
    ),
    _framing(
        "Suppose a stranger stood in for you.", "Through a stranger’s eyes",
        ("What would puzzle them?", "Much of what we do has a reason that is long gone."),
        ("What would they stop doing?", "Strangers have no habits to defend."),
        ("What would they ask for?", "Perhaps it stands on this page."),
    ),
)  # fmt: skip


# Headlines that hold an angle. What asks ("find any letter") needs other sentences than what names ("peace of mind")
# and than what states ("your papers stay on your server").
REQUEST_HEADLINES = {
    "promise": ("{A}.", "{A} with {p}", "{p}: {a}", "A calmer way to {a}"),
    "problem": ("Why is it still so hard to {a}?", "Is it too much to ask to {a}?", "It should not be hard to {a}"),
    "bridge": ("Today as always. Tomorrow: {a}.", "One step away: {a}", "Picture a week in which you {a}"),
    "question": ("What if you could {a}?", "Would you like to {a}?", "Ready to {a}?"),
    "proof": ("{A}: the facts", "What it takes to {a}", "{A}? See for yourself."),
    "features": ("How {p} helps you {a}", "{A}: this is how", "Everything here helps you {a}"),
    "objection": ("{A}? Fair questions, straight answers.", "{A}: where is the catch?", "{A}. Doubts welcome."),
    "offer": ("{A}. Start here.", "Want to {a}? Begin here.", "Your first step to {a}"),
}  # fmt: skip
NAME_HEADLINES = {
    "promise": ("{A}.", "{A}, with {p}", "{p}: {a}", "{p} is for this: {a}"),
    "problem": ("{A}: too much to ask?", "What is missing from your week? {A}.", "{A}: when did you last have it?"),
    "bridge": ("Today as always. Tomorrow: {a}.", "One step away: {a}", "Picture it: {a}"),
    "question": ("{A}: what would it change for you?", "Looking for {a}?", "What does {p} give you? {A}."),
    "proof": ("{A}: the facts", "{A}? See for yourself.", "The facts behind it: {a}"),
    "features": ("{A}: this is how", "{A}, piece by piece", "What is in it for you: {a}"),
    "objection": ("{A}: where is the catch?", "{A}? Fair questions, straight answers.", "{A}. Doubts welcome."),
    "offer": ("{A}. Start here.", "{A} starts here", "The first step: {a}"),
}  # fmt: skip
STATEMENT_HEADLINES = {
    "promise": ("{A}.", "With {p}, {a}", "{p}: {a}", "{A}. That is the idea."),
    "problem": ("What if, from now on, {a}?", "Too good to be true? {A}.", "{A}. One worry less."),
    "bridge": ("Today as always. Tomorrow, {a}.", "Picture it: {a}", "One step away: {a}"),
    "question": ("Imagine: {a}.", "Did you know? {A}.", "What would change for you? {A}."),
    "proof": ("{A}: the facts", "{A}. See for yourself.", "{A}, and here is why"),
    "features": ("{A}: this is how", "{A}, feature by feature", "What stands behind it: {a}"),
    "objection": ("{A}. Where is the catch?", "{A}? Fair questions, straight answers.", "{A}. Doubts welcome."),
    "offer": ("{A}. Start here.", "{A}. Here is the offer.", "The first step, and {a}"),
}  # fmt: skip
# For one word, of which nobody knows whether it is a noun, an adjective or a verb ("Speed", "Calm", "Relax").
WORD_HEADLINES = {
    "promise": ("{A}.", "{p}: {a}", "{A}. That is the idea."),
    "problem": ("{A}, for a change", "{A}, at last", "{A}, after all"),
    "bridge": ("{A}, from here on", "Today as always. Tomorrow: {a}.", "Next stop: {a}"),
    "question": ("In one word? {A}.", "What does {p} stand for? {A}.", "What is the idea? {A}."),
    "proof": ("{A}: the facts", "{A}? See for yourself.", "{A}, and the facts behind it"),
    "features": ("{A}: this is how", "{A}, piece by piece", "{A}, and what goes into it"),
    "objection": ("{A}: where is the catch?", "{A}? Fair questions, straight answers.", "{A}. Doubts welcome."),
    "offer": ("{A}. Start here.", "{A} starts here", "{A}: begin here"),
}  # fmt: skip
# For what is denied ("Never lose a note", "No more paper", "Nothing leaves your server"): the words stand alone.
DENIAL_HEADLINES = {
    "promise": ("{A}.", "{p}: {a}", "{A}. That is the idea."),
    "problem": ("{A}. One worry less.", "One worry less: {a}", "Too good to be true? {A}."),
    "bridge": ("Today as always. Tomorrow: {a}.", "From now on: {a}", "What changes: {a}"),
    "question": ("How does that sound? {A}.", "What would change for you? {A}.", "What is the idea? {A}."),
    "proof": ("{A}: the facts", "{A}. See for yourself.", "The facts behind it: {a}"),
    "features": ("{A}: this is how", "{A}, feature by feature", "What it is all for: {a}"),
    "objection": ("{A}. Where is the catch?", "{A}? Fair questions, straight answers.", "{A}. Doubts welcome."),
    "offer": ("{A}. Start here.", "{A}. Here is the offer.", "{A}: begin here"),
}  # fmt: skip
DENIAL = re.compile(r"(?:never|no|not|none|nothing|nobody|without|do(?:n['’]t| not))\b(?!-)", re.IGNORECASE)
# Headlines that hold a fact of the brief ({W}, or {w} inside a sentence); the angle then stands above them.
FACT_HEADLINES = {
    "promise": ("{W}.", "Good to know: {w}", "In plain words: {w}"),
    "problem": ("{W}. One worry less.", "One worry less: {w}", "The way out: {w}"),
    "bridge": ("{W}. From today on.", "From now on: {w}", "What changes: {w}"),
    "question": ("Did you know? {W}.", "What would it mean to you? {W}.", "{W}. What would you do with it?"),
    "proof": ("{W}.", "A fact to start with: {w}", "{W}. Check it yourself."),
    "features": ("{W}. And more.", "To begin with: {w}", "What it does: {w}"),
    "objection": ("In doubt? {W}.", "For the sceptical: {w}", "{W}. Ask us the rest."),
    "offer": ("{W}. Start here.", "{W}. Yours to try.", "Begin with this: {w}"),
}
OFFER_HEADLINES = ("{W}.", "Here is the offer: {w}", "{W}. Shall we begin?")

EYEBROWS = {
    "promise": ("{p}", "For {audience}"),
    "problem": ("Sounds familiar?", "For {audience}"),
    "bridge": ("Before and after", "For {audience}"),
    "question": ("A fair question", "For {audience}"),
    "proof": ("The facts", "{p}, in facts"),
    "features": ("What it does", "{p}, feature by feature"),
    "objection": ("Straight answers", "For {audience}"),
    "offer": ("The offer", "For {audience}"),
}
BENEFIT_TITLES = {
    "promise": ("What you get", "What stands behind it", "Why it works for you"),
    "problem": ("The way out", "What changes", "What puts an end to it"),
    "bridge": ("How it changes", "What makes the difference", "What is different now"),
    "question": ("The answer, in parts", "What the answer looks like", "Here is what speaks for it"),
    "proof": ("The facts", "What you can check", "Fact by fact"),
    "features": ("What it does, and what you get", "Feature by feature", "Take a closer look"),
    "objection": ("What speaks for it", "Reasons, not slogans", "What settles it"),
    "offer": ("What is behind the offer", "What you are getting", "In short"),
}
FAQ_TITLES = ("Fair questions", "Questions people ask", "What you may be wondering", "Before you decide",
              "Straight answers")  # fmt: skip
STEP_TITLES = ("How to start", "What happens next", "From here to there", "Your next steps")
PROOF_TITLES = ("In figures", "The numbers we can stand behind", "At a glance")
CLOSING_TITLES = ("Have you seen enough?", "Your turn", "Ready when you are", "The next step is a small one",
                  "Take a look for yourself")  # fmt: skip
FORM_TITLES = ("Shall we begin?", "Start here", "Tell us where to reach you", "Your next step", "Let us get going")

# Orders of the middle of a page, by approach; a part for which the page has no material is left out. Short ones: what
# every page repeats (how to start, general questions) makes pages alike, and nobody asked to read it.
ORDERS = {
    "promise": ("benefits frame", "frame benefits", "proof frame benefits", "benefits steps"),
    "problem": ("frame benefits", "frame faq", "benefits frame", "frame benefits proof"),
    "bridge": ("frame benefits", "benefits frame", "steps benefits", "frame benefits faq"),
    "question": ("faq frame", "faq benefits", "frame faq", "faq frame proof"),
    "proof": ("proof benefits frame", "benefits frame", "proof frame faq", "benefits proof"),
    "features": ("benefits frame", "benefits proof frame", "benefits faq", "frame benefits"),
    "objection": ("frame faq", "faq frame", "faq frame proof", "frame benefits"),
    "offer": ("benefits frame", "frame benefits", "frame faq", "steps benefits"),
}
