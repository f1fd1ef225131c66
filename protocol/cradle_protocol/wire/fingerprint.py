"""CPython only: four words by which people see that both ends hold the same key. Neither a password nor a proof."""

from cradle_protocol.compat import const, sha256

# 256 words of four letters, in one string: a board keeps one object, not 256.
WORD_SIZE = const(4)
WORDS = (
    "acidaloearchatomaxlebabybakeballbandbarkbarnbathbeadbeambeanbear"
    "bellbeltbikebirdblueboatboldbonebookbootbowlbulbbushcagecakecalf"
    "campcanecardcartcavechefchincityclayclubcoalcoatcodecoincombcook"
    "cordcorkcorncovecrabcrewcrowcubecurldawndeckdeskdicediskdockdoll"
    "domedoordovedrumduckduneduskdusteastechoedgeepicexamexitfacefact"
    "farmfawnfernfilmfirefishfiveflagflaxfoamfootforkfortfrogfuelfund"
    "gategiftgluegoatgoldgolfgonggowngulfhairhallhandharphawkherbhero"
    "hillhivehomehookhornhugeiconideainchirisironisleitchjadejazzjeep"
    "jokejumpjurykelpkingkitekiwikneelacelakelamblamplarklavalawnleaf"
    "lenslilylimelionloaflocklogolooplucklynxmailmazemenumilkmintmonk"
    "moonmossmothmythnailnavyneckneonnestnewsninenodenoonnoseoathoboe"
    "onyxopalopenoxenpalmparkpathpawnpeakpearpinepipepoempondponypool"
    "pumpquayquizraftrainreefriceringroadrockroofroperoserubysagesail"
    "saltsandsealseedshipshoesilksnowsoapsocksofasoilsongsoupstarstem"
    "sumosurfswantacotapetaxitenttoadtogatreetubatunatwigunitvaseveil"
    "vestvinevotewalkwavewhipwingwolfwoodwoolyardyarnyogazerozinczone"
)
FINGERPRINT_WORDS = const(4)  # 32 bits: enough against a stranger who has one try and five minutes


def word(number: int) -> str:
    """Word number 0 to 255."""
    return WORDS[number * WORD_SIZE : (number + 1) * WORD_SIZE]


def fingerprint(desktop_id: bytes, device_id: bytes, key: bytes) -> str:
    """The four words of a partnership, with spaces between them."""
    digest = sha256(b"cradle fingerprint" + desktop_id + device_id + key).digest()
    return " ".join([word(byte) for byte in digest[:FINGERPRINT_WORDS]])
