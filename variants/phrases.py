"""The wordings that make a claim without a figure: superlatives, promises, certificates, praise, prices, pressure.

    text ──▶ [Phrase]: its kind, and its key; two phrases of one key say the same in other words

What counts as the same is one line of the lists below: "free", "costs nothing" and "at no cost" share a line, so a
brief that says one covers a page that says another. A group named `what` narrows the line to its word: "fastest" and
"easiest" are of one pattern and are two claims.

Approximation: lists, no understanding; English, German, French and Spanish.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from variants.matching import stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    kind: str  # as a reader of the finding is told, such as "a superlative"
    key: str
    words: str
    start: int
    end: int


type Lines = Mapping[str, tuple[str, ...]]

SUPERLATIVE, PROMISE, CERTIFICATE = "a superlative", "a promise", "a certificate or proof"
PRAISE, PRICE, PRESSURE, COUNT = "praise from others", "a price or a saving", "pressure", "a vague count"

# fmt: off
EST = ("fast|quick|eas|simpl|cheap|strong|saf|smart|larg|bigg|great|fin|clean|light|small|high|low|new|wis|trust|rich"
       "|health|fresh|tast|happi|friendli|pur|soft|hard|tough|cool|warm|bright|clear|deep|tini|thinn|short|tall|slick"
       "|sleek|sharp|old|young|gentl|kind|lean|neat|tidi|sweet|long|wid|broad|near|close|rar|calm")
MOST = ("popular|trusted|loved|advanced|powerful|reliable|secure|complete|affordable|innovative|effective|efficient"
        "|accurate|modern|used|recommended|awarded|successful|comfortable|experienced|delicious|beautiful|flexible"
        "|comprehensive|intuitive|downloaded|reviewed|wanted|respected")
ENGLISH: Lines = {
    SUPERLATIVE: (
        r"\bbest(?! practices?\b| suited\b| of all\b| regards\b| wishes\b| interests?\b)(?:[ -](?:in[ -]class"
        r"|selling|rated))?",
        r"#\s?1\b|\bno\. ?1\b|\bnumber (?:one|1)\b", r"\b(?:\w+-)?leading(?! to\b| up\b| with\b| the way\b)",
        r"\bworld[ -]class\b", r"\btop[ -](?:rated|choice|pick|notch|quality|class)\b", r"\bthe only\b",
        r"\bunrival+ed\b|\bunmatched\b|\bunbeatable\b|\bunparalleled\b|\bsecond to none\b|\bwithout equal\b"
        r"|\bpeerless\b",
        r"\bstate[ -]of[ -]the[ -]art\b|\bcutting[ -]edge\b", r"\brevolutionary\b", r"\bultimate\b",
        r"\bfavou?rite\b", r"\bgold standard\b", r"\bworld'?s (?:first|\w+est)\b",
        r"\bthe first (?:\w+ ){1,3}(?:to|that)\b",
        rf"\bmost (?P<what>{MOST})\b", rf"\b(?P<what>{EST})i?est\b",
        r"\b(?:nobody|no one|no other \w+|nothing)(?: else)? \w+ (?:\w+ )?(?:better|faster|quicker|cheaper|more"
        r"|easier)\b",
        r"\bperfect(?!ly)\b",
    ),
    PROMISE: (
        r"\b(?:guarant\w+|warrant(?:y|ies)|we (?:promise|vow|swear))\b|\bwe promise\b",
        r"\brisk[ -]free\b|\bno risks?\b",
        r"\bmoney[ -]back\b|\byour money back\b|\brefund\w*\b", r"\bunlimited\b|\bno limits?\b",
        r"\blifetime\b|\bforever\b",
        r"\b24/7\b|\b(?:a)?round the clock\b|\b(?:seven|7) days a week\b|\bday and night\b",
        r"\binstant(?:ly|aneous)?\b",
        r"\bcancel (?:any ?time|when(?:ever)? you (?:like|want))\b", r"\bno credit card\b",
        r"\bno (?:contracts?|commitments?|obligations?|strings attached|lock-in)\b",
        r"\bno (?:hidden )?(?:fees?|costs?|charges?)\b|\bno set-?up fees?\b", r"\bno ads\b|\bad-free\b",
        r"\bno tracking\b",
        r"\bno questions asked\b", r"\binterest[ -]free\b",
        r"\bfoolproof\b|\bfail-?proof\b|\bnever fails?\b|\bworks every time\b|\bflawless\w*\b|\berror[ -]free\b",
        r"\bnever (?:lose|miss|pay|wait|worry)\b",
        r"\b(?:completely|totally|absolutely|100%) (?:safe|painless|secure|effective)\b|\bpainless\b",
        r"\b(?:by|before|in time for) (?:the|this|next) weekend\b",
        # Not "until tomorrow", which people are asked not to wait; not "by the end of the day", when backs ache.
        r"\b(?:by|before) (?P<what>tonight|tomorrow)\b",
        r"\b(?:by|before) (?:the )?end of (?:(?:the|this|next) )?(?P<what>week|month|business|working day|today)\b",
        r"\b(?:on )?the (?:very )?same day(?=[.!?,;]|$| (?:you|we)\b)|\bsame-day\b"
        r"|\bsame day (?:delivery|service|appointments?|repairs?)\b",
        r"\bnext-day\b|\bnext day (?:delivery|service|shipping|repairs?|appointments?)\b"
        r"|\b(?:\w+ed|\w+s|there|here|back|ready|done|sent|you|it) (?:by )?the (?:very )?next (?:working |business )?"
        r"day\b",
        r"\bwithin the (?P<what>hour|day|week)\b",
    ),
    CERTIFICATE: (
        r"\bcertif(?:ied|icat\w+|y|ies)\b|\baccredit\w+", r"\bcomplian(?:t|ce)\b",
        r"\b(?P<what>GDPR|HIPAA|SOC ?2|PCI|FDA|TÜV|ISO|CE|BBB|HACCP|USDA)\b(?=[ -]|[.,;:!?]|$)",
        r"\bpatent(?:ed|-pending)?\b", r"\b(?:clinically|scientifically|medically|dermatologically) \w+|\bproven\b",
        r"\baward(?:[ -]winning|s|ed)?\b|\bprize[ -]winning\b|\bmedal\w*\b",
        r"\b(?P<what>gold|silver|bronze) (?:at|in|medal)\b",
        r"\bendorsed\b|\bapproved by\b|\b\w+[ -]approved\b", r"\b(?:bank|military|enterprise|hospital)[ "
        r"-](?:grade|level)\b",
        r"\bbullet-?proof\b|\bunhackable\b", r"\bend[ -]to[ -]end[ -]encrypt\w+",
        r"\bstud(?:y|ies) (?:show|prove|find|suggest)\w*|\bresearch (?:shows?|proves?)\b",
        r"\b(?:experts?|doctors?|dentists?|physicians?|specialists?) (?:agree|recommend|say|trust)\w*"
        r"|\brecommended by (?:experts?|doctors?|dentists?|physicians?|specialists?)\b",
        r"\bcarbon[ -]neutral\b|\bclimate[ -]neutral\b", r"\beco-?friendly\b", r"\borganic\b",
        r"\b(?P<what>gluten|sugar|lactose|fat)[ -]free\b",
        r"\bvegan\b",
    ),
    PRAISE: (
        r"\b(?P<what>trusted|loved|chosen|preferred|recommended|backed|rated|reviewed|praised|adored|relied on"
        r"|used) (?:by|in|on)\b(?: [\w'-]+){0,3}",
        r"\b(?:as )?(?:seen|featured|mentioned) (?:in|on)\b(?: [\w'-]+){0,3}",
        r"\bjoin (?:over|more than|thousands|hundreds|millions|our)\b(?: [\w'-]+){0,2}",
        r"\b(?:happy|satisfied|delighted) (?:customers?|users?|clients?|patients?|families|guests?)\b",
        r"\b(?:customers?|users?|clients?|teams?|people|families|households|guests?|patients?|everyone|everybody) "
        r"(?:love|say|trust|rave|agree)s?\b",
        r"\b(?:five|5)[ -]stars?\b|[★⭐]{2,}", r"\btestimonials?\b", r"\bbestsell\w+",
    ),
    PRICE: (
        r"(?<!-)\bfree\b(?!-| up\b| your\b| you\b| to\b| from\b| of (?!charge)|ly)(?: of charge| trial| "
        r"shipping)?|\bcosts? nothing\b"
        r"|\bcomplimentary\b|\b(?:at|for) no (?:extra )?(?:cost|charge)\b|\bwithout charge\b|\bon us\b|\bon the "
        r"house\b",
        r"\bdiscount\w*\b|\bmoney off\b", r"\bhalf[ -]price\b", r"\bon sale\b|\bsave up to\b", r"\bbonus\b",
        r"\bcheaper\b|\blower prices?\b",
    ),
    PRESSURE: (
        r"\blimited[ -]time\b|\b(?:today only|only today)\b|\blast chance\b|\bends (?:today|soon|tonight|tomorrow)\b",
        r"\bonly (?:a few|\w+) (?:left|remaining|spots|seats|places|spaces|rooms)\b|\bwhile (?:stocks?|suppl(?:y"
        r"|ies)) lasts?\b"
        r"|\bselling fast\b|\balmost (?:gone|sold out)\b", r"\bhurry\b|\bact (?:now|fast)\b",
    ),
    COUNT: (r"\b(?P<what>dozens|hundreds|thousands|millions|billions) of\b|\b(?P<what2>dozens|hundreds|thousands"
    r"|millions|billions)\b",),
}
GERMAN: Lines = {
    SUPERLATIVE: (
        r"\b(?:aller)?beste[nrsm]?\b", r"\bnr\. ?1\b|\bnummer (?:eins|1)\b", r"\b(?:markt)?führende[nrsm]?\b",
        r"\bweltklasse\b",
        r"\beinzigartig\w*\b|\bunschlagbar\w*\b|\bunübertroffen\w*\b|\bkonkurrenzlos\w*\b",
        r"\bder einzige\b|\bdie einzige\b|\bdas einzige\b",
        r"\b(?P<what>schnell|günstig|billig|sicher|einfach|leicht|neu|stärk|groß|größ|klein|hoch|höch|niedrig"
        r"|beliebt|modern|schön|frisch|gesünd|klüg|läng|ält|jüng)(?:e?ste[nrsm]?)\b",
        r"\bam meisten\b|\bmeist(?:gekauft|verkauft|genutzt)\w*\b", r"\btestsieger\b", r"\bperfekt\w{0,2}\b",
    ),
    PROMISE: (
        r"\b(?!geld)\w*garanti(?:e|en|ert|erte[nrsm]?|eren)\b|\bwir versprechen\b|\bgewährleist\w+",
        r"\brisikofrei\w*\b|\bohne risiko\b",
        r"\bgeld[ -]zurück\b(?:-garantie)?", r"\bunbegrenzt\w*\b|\bgrenzenlos\w*\b",
        r"\blebenslang\w*\b|\bfür immer\b", r"\brund um die uhr\b|\b24/7\b",
        r"\bsofort\b", r"\bjederzeit kündbar\b", r"\bohne (?:vertragsbindung|mindestlaufzeit)\b",
        r"\bkeine (?:versteckten )?kosten\b",
        r"\bohne kreditkarte\b",
        r"\b(?:bis zum|vor dem) (?:nächsten )?wochenende\b", r"\bbis (?P<what>morgen|heute abend)\b",
        r"\b(?:noch )?am (?:selben|gleichen) tag\b", r"\bam nächsten (?:werk)?tag\b",
    ),
    CERTIFICATE: (
        r"\bzertifi\w+|\bakkreditier\w+", r"\b(?P<what>DSGVO|TÜV|ISO|CE|BIO|VDE)\b", r"\bpatentiert\w*\b",
        r"\b(?:klinisch|wissenschaftlich) \w+|\bbewiesen\w*\b|\berwiesen\w*\b",
        r"\bausgezeichnet\w*\b|\bpreisgekrönt\w*\b", r"\bgeprüft\w*\b", r"\bklimaneutral\w*\b|\bCO2-neutral\w*\b",
        r"\bstudien (?:zeigen|belegen)\b",
        r"\b(?:experten|ärzte) empfehlen\b|\bvon (?:experten|ärzten) empfohlen\b",
    ),
    PRAISE: (
        r"\b(?:zufriedene|glückliche|begeisterte)[nr]? (?:kund\w+|nutzer\w*|patient\w+)\b",
        r"\b(?:vertrauen|lieben) (?:uns|auf)\b",
        r"\bempfohlen von\b", r"\bbekannt aus\b", r"\b(?:fünf|5)[ -]sterne\b|[★⭐]{2,}", r"\bbestseller\b",
    ),
    PRICE: (
        r"\bkostenlos\w*\b|\bgratis\b|\bkostenfrei\w*\b|\bumsonst\b|\bkostet (?:\w+ )?nichts\b"
        r"|\bunentgeltlich\w*\b", r"\b\w*rabatt\w*\b|\bnachlass\b|\bermäßig\w+",
        r"\bhalbe[rn]? preis\b", r"\bgünstiger\b|\bbilliger\b",
    ),
    PRESSURE: (
        r"\bnur (?:noch )?heute\b|\bletzte chance\b|\bnur (?:noch )?kurze? zeit\b|\bendet (?:heute|bald|morgen)\b",
        r"\bnur noch \w+ (?:\w+ )?(?:frei|übrig|plätze|termine|stück)\b|\bsolange der vorrat reicht\b|\bfast "
        r"ausverkauft\b", r"\bbeeilen sie sich\b|\bbeeil dich\b",
    ),
    COUNT: (r"\b(?P<what>dutzende|hunderte|tausende|millionen)\b(?! (?:euro|€))",),
}
FRENCH: Lines = {
    SUPERLATIVE: (
        r"\b(?:le|la|les|notre|nos|votre) (?:meilleure?s?)\b|\bmeilleure?s? (?:école|service|prix|choix|offre"
        r"|outil)\w*\b", r"\bn[°o]\s?1\b|\bnuméro (?:un|1)\b",
        r"\bleaders?\b", r"\bpréférée?s?\b", r"\b(?:le|la|les) plus (?P<what>\w{3,5})\w*\b",
        r"\bunique au monde\b|\binégal\w+|\bincomparable\w*\b|\bimbattable\w*\b",
        r"\bparfaite?s?\b", r"\b(?:le|la) seule?\b",
    ),
    PROMISE: (
        r"\bgaranti\w*\b|\bnous promettons\b", r"\bsatisfaite?s? ou remboursée?s?\b|\brembours\w+",
        r"\bsans risque\b", r"\billimitée?s?\b", r"\bà vie\b|\bpour toujours\b",
        r"\b24 ?h(?:eures)? ?(?:sur|/) ?24\b|\b7 ?j(?:ours)? ?(?:sur|/) ?7\b|\b24/7\b", r"\binstantanée?\w*\b",
        r"\bsans engagement\b", r"\bsans frais\b", r"\bsans carte\b",
        r"\b(?:avant|d['’]ici|pour) (?:le|ce) week-?end\b", r"\b(?:avant|d['’]ici) (?P<what>demain|ce soir)\b",
        r"\ble (?:jour même|même jour)\b", r"\ble lendemain\b", r"\bdans l['’]heure\b",
    ),
    CERTIFICATE: (
        r"\bcertifi\w+|\bagréée?s?\b|\baccrédit\w+", r"\b(?P<what>RGPD|ISO|(?-i:CE)|AFNOR|Qualiopi|Bio)\b",
        r"\bbreveté\w*\b", r"\b(?:cliniquement|scientifiquement) \w+|\bprouvée?s?\b",
        r"\bprimée?s?\b|\brécompens\w+", r"\bétudes? (?:montre|prouve)\w*",
        r"\b(?:experts|médecins) recommandent\b|\brecommandée?s? par (?:les |des )?(?:experts|médecins)\b",
    ),
    PRAISE: (
        r"\bclients? (?:satisfaits?|heureux|ravis?)\b", r"\b(?:nous font|vous font) confiance\b|\bnous ont fait "
        r"confiance\b", r"\bvu (?:à|dans|sur)\b", r"\b(?:cinq|5) étoiles\b|[★⭐]{2,}",
    ),
    PRICE: (
        r"\bgratuit\w*\b|\bofferte?s?\b|\bne coûte rien\b|\bsans (?:aucun )?coût\b",
        r"\bremises?\b|\bréductions?\b|\brabais\b|\bpromo\w*\b", r"\bmoitié prix\b", r"\bmoins chère?s?\b",
    ),
    PRESSURE: (
        r"\b(?:aujourd'hui seulement|seulement aujourd'hui)\b|\bdernière chance\b|\bdurée limitée\b",
        r"\bplus que \w+ places?\b|\bdernières places\b|\bpresque complet\b", r"\bdépêchez-vous\b",
    ),
    COUNT: (r"\b(?:des )?(?P<what>dizaines|centaines|milliers|millions) (?:de|d')",),
}
SPANISH: Lines = {
    SUPERLATIVE: (
        r"\b(?:el|la|los|las|tu|su|nuestro|nuestra) mejor(?:es)?\b", r"\bn[.°º]\s?1\b|\bnúmero (?:uno|1)\b",
        r"\blíder(?:es)?\b", r"\bfavorit[oa]s?\b",
        r"\b(?:el|la|los|las) más (?P<what>\w{3,5})\w*\b|\b(?:el|la|los|las) \w+ más (?P<what2>\w{3,5})\w*\b",
        r"\binigualable\w*\b|\binsuperable\w*\b|\búnic[oa]s? en\b", r"\bperfect[oa]s?\b",
    ),
    PROMISE: (
        r"\bgarantiza\w*\b|\bgarantías?\b|\bprometemos\b", r"\bdevol\w+ (?:el|tu|su) dinero\b|\breembols\w+",
        r"\bsin riesgos?\b", r"\bilimitad\w+", r"\bpara siempre\b|\bde por vida\b",
        r"\b24 horas\b|\b24/7\b|\bdía y noche\b", r"\binstantáne\w+|\bal instante\b",
        r"\bsin (?:permanencia|compromisos?)\b", r"\bsin (?:comisiones|costes?|gastos|matrícula)\b",
        r"\bsin tarjeta\b",
        r"\b(?:antes del|para el) fin de semana\b", r"\bantes de (?P<what>mañana|esta noche)\b",
        r"\b(?:el|en el) mismo día\b", r"\bal día siguiente\b",
    ),
    CERTIFICATE: (
        r"\bcertific\w+|\bacreditad\w+|\bhomologad\w+", r"\b(?P<what>RGPD|ISO|CE|AENOR)\b", r"\bpatentad\w+",
        r"\b(?:clínicamente|científicamente) \w+|\bdemostrad\w+",
        r"\bpremiad\w+|\bgalardonad\w+", r"\bestudios? (?:muestra|demuestra|prueba)\w*",
        r"\b(?:expertos|médicos) recomiendan\b|\brecomendad\w+ por (?:expertos|médicos)\b",
    ),
    PRAISE: (
        r"\bclientes (?:satisfech\w+|felices|contentos)\b", r"\bconfían en\b", r"\bvisto en\b",
        r"\b(?:cinco|5) estrellas\b|[★⭐]{2,}",
    ),
    PRICE: (
        r"\bgratis\b|\bgratuit\w+|\bno cuesta nada\b|\bsin coste\b|\binvita la casa\b",
        r"\bdescuentos?\b|\brebajas?\b|\bofertas?\b(?= de)", r"\bmitad de precio\b", r"\bmás barat\w+",
    ),
    PRESSURE: (
        r"\bsolo hoy\b|\bsólo hoy\b|\búltima oportunidad\b|\btiempo limitado\b",
        r"\b(?:solo|sólo) quedan\b|\búltimas plazas\b|\bhasta agotar\b", r"\bdate prisa\b|\bapresúrate\b",
    ),
    COUNT: (r"\b(?P<what>decenas|cientos|miles|millones) de\b(?! euros)",),
}
# fmt: on
LINES: Mapping[str, Lines] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}


@lru_cache
def _compiled(language: str) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    lines = LINES.get(language, {})
    return tuple(
        (kind, f"{kind} {place}", re.compile(pattern, re.IGNORECASE))
        for kind, patterns in lines.items()
        for place, pattern in enumerate(patterns)
    )


def phrases_in(text: str, language: str) -> list[Phrase]:
    """Return the claims made without a figure; one that is part of another is not told twice."""
    found = sorted(_found(text, language), key=lambda phrase: (phrase.start, -phrase.end))
    kept: list[Phrase] = []
    reached = 0
    for phrase in found:
        if phrase.end > reached:
            kept.append(phrase)
            reached = phrase.end
    return kept


def _found(text: str, language: str) -> Iterator[Phrase]:
    for kind, line, pattern in _compiled(language):
        for found in pattern.finditer(text):
            what = next((group for group in found.groups() if group), "")
            is_idiom = language == "en" and _is_idiom(text, found)
            if found[0].strip() and not is_idiom:
                key = f"{line} {stem(what.casefold())}"
                yield Phrase(kind=kind, key=key, words=found[0].strip(), start=found.start(), end=found.end())


REACH = 12  # characters before a phrase that can make an idiom of it


def _is_idiom(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - REACH) : found.start()].casefold()
    if found[0].casefold() == "best":  # "does its best", "at best", but not "its best seller"
        is_end = re.match(r"\s*\w", text[found.end() : found.end() + REACH]) is None
        return before.endswith(("at ", "its ", "your ", "their ", "our ")) and is_end
    return found[0].casefold() == "free" and before.endswith(("feel ", "hands ", "hassle "))
