"""Tell whether a text is written in the language that was asked for, by its script and its commonest words.

    text + language ──▶ the language it is in instead, or None

The question is not "which of 200 languages is this?" but "is this page in the wrong one?", so the answer may be
"cannot tell", and is for short texts. A text is in another language when its letters belong to a script the asked
language does not use, or when it has many of another language's function words and hardly any of its own.
Names, products and borrowed words have neither, so they decide nothing. Chosen over a library by measurement:
docs/gates.md.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

# fmt: off
FUNCTION_WORDS = {
    "en": "the of and to in is that it for you was on are with as they be at this have from or by not but what "
    "all were we when "
          "your can there an each which do how their if will about them then she many some so these would into "
          "has her him "
          "more no could than been who its now did get may our any where after out up only just before because "
          "does my me us i a "
          "he his don't it's you're isn't every over also should here please cannot while both between",
    "de": "der die das und ist nicht sie ein eine einen einem einer zu den von mit sich des auf für im dem auch "
    "es an werden aus "
          "er hat dass bei wird sind noch wie wir ihr ihre ihren ihrem ihnen nur nach oder aber vor zur zum um "
          "über kann können "
          "haben ich du uns unser unsere kein keine wenn als durch mehr so am bis alle diese dieser dieses muss "
          "müssen hier ohne "
          "sein war bitte dieses sehr schon einfach damit mich mir dich dir wurde wurden jede jeder jedes",
    "fr": "le la les des et est une un du que qui dans pour pas sur ne ce il au avec par plus vous je nous se "
    "sont cette ces mais "
          "ou son sa ses votre vos leur leurs notre nos aux être avoir ont fait tout tous toutes comme si sans "
          "elle on même aussi "
          "bien où quand très d'un d'une c'est n'est qu'il entre cet deux peut peuvent doit après avant chaque y "
          "été était à de l "
          "d s n c j m qu lorsque depuis",
    "es": "el la los las de que y en un una es no se por con para del al lo como más su sus o pero le ya este "
    "esta estos estas "
          "entre cuando muy sin sobre también me hasta hay donde quien desde todo todos nos durante uno les ni "
          "contra otros ese "
          "eso ante ellos esto tu tus nuestro nuestra son está están ser puede pueden si cada qué fue han ha era",
    "it": "il lo la gli le di che e è un una in non per con del della dei delle si da al alla sono come più ma "
    "anche nel nella "
          "questo questa questi queste ha hai ho o se tuo tua suo sua nostro nostra cui dal dalla essere stato "
          "stata tutti "
          "ogni degli i ai agli sul sulla perché quando dove molto solo senza può devono deve c'è era l d",
    "pt": "o a os as de que e do da em um uma para com não por mais dos das se na no como mas ao ele à seu sua ou "
    "quando muito "
          "nos já eu também só pelo pela até isso ela entre depois sem mesmo aos seus quem nas me esse eles você "
          "vocês foi são "
          "está ser tem num nem suas meu às minha este esta estes estas pode podem cada todos é deve nosso nossa",
    "nl": "de het een en van is dat niet in te op zijn met voor er aan om ook als maar dan door je bij naar u uit "
    "nog kan worden "
          "wordt heeft hebben wij we ze hij zij deze dit die of over meer zonder uw jouw ons onze geen alle moet "
          "al was waar wat "
          "tot wel kunt tussen werd hun elke ik mijn deze hier want zou moeten",
    "sv": "och att det som en på är av för med den till i inte om ett han de var jag men hon sig så du från har "
    "ni vi kan eller "
          "när vid under efter utan din ditt dina vår vårt alla mer är dig nu hur få ska skall måste mycket bara "
          "denna detta "
          "dessa där här över finns inga ingen någon något blir ska sin sitt",
    "da": "og i at det er en på til af for med den som de ikke der et har du vi kan om han men fra jeg sig din "
    "dit dine vores eller "
          "når ved efter uden alle mere nu hvordan få skal må meget kun denne dette disse hvor her over ingen "
          "noget bliver være "
          "blev hvis også dig mig os jeres skal vil var sin sit",
    "nb": "og i at det er en på til av for med den som de ikke der et har du vi kan om han men fra jeg seg din "
    "ditt dine vår eller "
          "når ved etter uten alle mer nå hvordan få skal må mye bare denne dette disse hvor her over ingen noe "
          "blir være ble "
          "hvis også deg meg oss deres vil var sin sitt ikke bli kun",
    "fi": "ja on ei se että hän oli mutta kun niin ovat tämä joka myös tai jos kuin voi sen mitä ole vain nyt "
    "olla sekä ne "
          "te me he sinun sinä minä tämän tällä tässä siinä siitä jotka joita jonka ilman kaikki enemmän kanssa "
          "mukaan ovat "
          "olet olemme eivät voit täytyy pitää saa tähän sitten jo vielä ennen jälkeen",
    "pl": "i w na z do nie się jest to że o jak ale po co za od przez dla są czy tego ten ta być może można jego "
    "jej ich ma oraz "
          "lub tak już tylko który która które bez przed przy nad pod gdy jeśli ze we tym tej te nas was twój "
          "twoje nasz wszystkie "
          "każdy należy został została proszę musi aby więcej również ani",
    "cs": "a je v na se že s z do o to pro jako ale si od by i k po za ve jsou není byl tento tato toto jeho "
    "který která které "
          "nebo být může pokud tak jen už také při bez před nad pod když ze tím této tomu nám vám váš vaše náš "
          "více všechny "
          "každý musí lze bude byla prosím až však ještě tohoto",
    "ro": "și de la în a nu cu o un este care pe pentru din că mai se au sunt sau ca dar fi am fost ai dacă acest "
    "această aceste "
          "acestea prin după între fără când cum tot toate poate pot trebuie să le i lui ei lor noastre noi voi "
          "dumneavoastră "
          "al ale ce până fiecare decât doar va vă nostru",
    "hu": "a az és hogy nem is egy ez van meg el csak de ha már mint még vagy volt azt kell lehet ezt ki be fel "
    "le minden majd "
          "nagyon amely amelyek ami aki ahol mert után alatt között nélkül több ön önnek mi mit itt ott ezek azok "
          "legyen "
          "vannak nincs sem kérjük ennek annak lesz ezen",
    "tr": "ve bir bu için ile de da o ne çok daha olarak gibi kadar sonra olan var mı mi her en ya ki değil veya "
    "ama ise sizin "
          "biz siz ben bunu tüm hiç yok şey göre önce ancak hem üzerinde tarafından sadece olduğu lütfen edin "
          "gerekir olmalıdır "
          "zaman nasıl lütfen değildir birden",
}
# fmt: on
SCRIPTS = {
    "ru": "CYRILLIC",
    "uk": "CYRILLIC",
    "bg": "CYRILLIC",
    "be": "CYRILLIC",
    "mk": "CYRILLIC",
    "kk": "CYRILLIC",
    "el": "GREEK",
    "he": "HEBREW",
    "yi": "HEBREW",
    "ar": "ARABIC",
    "fa": "ARABIC",
    "ur": "ARABIC",
    "th": "THAI",
    "hi": "DEVANAGARI",
    "mr": "DEVANAGARI",
    "ne": "DEVANAGARI",
    "bn": "BENGALI",
    "ta": "TAMIL",
    "te": "TELUGU",
    "ka": "GEORGIAN",
    "hy": "ARMENIAN",
    "ko": "HANGUL",
    "ja": "CJK",
    "zh": "CJK",
    "km": "KHMER",
    "lo": "LAO",
    "my": "MYANMAR",
    "gu": "GUJARATI",
    "kn": "KANNADA",
    "ml": "MALAYALAM",
    "pa": "GURMUKHI",
    "si": "SINHALA",
    "am": "ETHIOPIC",
}  # fmt: skip
ALSO_READ = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}
# Written in two scripts; neither is wrong.
EITHER_SCRIPT = frozenset({"sr", "az", "uz", "ks", "sd", "ku", "tg", "tk", "mn", "ms", "bs", "pa", "kk"})
ALIKE = {"no": "nb", "nn": "nb"}
SISTERS = ({"da", "nb"},)  # too close to be told apart by a page of words
LETTERS_OF = (
    (re.compile("[ыэъё]"), "ru", "uk"),
    (re.compile("[іїєґ]"), "uk", "ru"),
    (re.compile("[\u3040-\u30ff]"), "ja", "zh"),
)

NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch",
    "sv": "Swedish", "da": "Danish", "nb": "Norwegian", "fi": "Finnish", "pl": "Polish", "cs": "Czech",
    "ro": "Romanian",
    "hu": "Hungarian", "tr": "Turkish", "ru": "Russian", "uk": "Ukrainian", "ja": "Japanese",
    "LATIN": "Latin letters", "CYRILLIC": "Cyrillic letters", "GREEK": "Greek letters",
    "HEBREW": "Hebrew letters", "ARABIC": "Arabic letters", "THAI": "Thai letters", "CJK": "Chinese or Japanese signs",
    "HANGUL": "Korean letters", "DEVANAGARI": "Devanagari letters",
}  # fmt: skip
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
FEWEST_WORDS = 8  # a headline says too little
FEWEST_FOUND = 3  # function words of the other language
TIMES_MORE = 2.5  # than of the asked one
SMALLEST_SHARE = 0.2  # of all words
MANY_WORDS = 30
SMALLEST_SHARE_OF_MANY = 0.1  # languages that inflect much have fewer words of this kind
FEWEST_LETTERS = 12
MOST_LETTERS = 20_000  # more tells nothing more
FOREIGN_SHARE = 0.6  # of the letters


def base(language: str) -> str:
    code = language.split("-", maxsplit=1)[0].casefold()
    return ALIKE.get(code, code)


def name_of(language: str) -> str:
    """Return what a marketer calls a language, or the script of one."""
    return NAMES.get(base(language) if language.islower() or "-" in language else language, language)


@lru_cache
def function_words(language: str) -> frozenset[str]:
    return frozenset(FUNCTION_WORDS.get(base(language), "").split())


def other_language(text: str, asked: str) -> str | None:
    """Return what `text` is written in if that is not `asked`: a language's code or a script's name; else None."""
    code, text = base(asked), text[:MOST_LETTERS]
    script = _main_script(text)
    wanted = SCRIPTS.get(code, "LATIN")
    if script is None or code in EITHER_SCRIPT:
        return None
    if script != wanted:
        return script
    if script == "LATIN" and code in FUNCTION_WORDS:
        return _other_by_words(text, code)
    return _other_by_letters(text, code)


def _main_script(text: str) -> str | None:
    counted = Counter(_script(character) for character in text if character.isalpha())
    total = sum(counted.values())
    if total < FEWEST_LETTERS:
        return None
    script, count = counted.most_common(1)[0]
    return script if count >= FOREIGN_SHARE * total else None


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    name = unicodedata.name(character, "?").split()[0]
    return ALSO_READ.get(name, name)


def _other_by_words(text: str, asked: str) -> str | None:
    words = [word.casefold().replace("’", "'") for word in WORD.findall(text)]
    if len(words) < FEWEST_WORDS:
        return None
    share = SMALLEST_SHARE if len(words) < MANY_WORDS else SMALLEST_SHARE_OF_MANY
    counted = Counter(words)
    against = {
        code: (_said(counted, theirs), _said(counted, own))
        for code in FUNCTION_WORDS
        if code != asked and {asked, code} not in SISTERS
        for theirs, own in (_telling(code, asked),)
    }
    other, (theirs_found, own_found) = max(against.items(), key=lambda one: one[1][0] - one[1][1])
    is_enough = theirs_found >= max(FEWEST_FOUND, share * len(words)) and theirs_found >= TIMES_MORE * own_found
    return other if is_enough else None


@lru_cache
def _telling(code: str, asked: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that speak for each of two languages. "de" and "que" do not make a Portuguese page Spanish."""
    theirs, own = function_words(code), function_words(asked)
    return theirs - own, own - theirs


def _said(counted: Counter[str], words: frozenset[str]) -> int:
    return sum(counted[word] for word in counted.keys() & words)


def _other_by_letters(text: str, asked: str) -> str | None:
    """Tell Ukrainian from Russian and Chinese from Japanese: by letters that only one of them has."""
    for letters, code, rival in LETTERS_OF:
        if asked == rival and len(letters.findall(text)) >= FEWEST_FOUND:
            return code
    return None
