"""The proof that goes with a move: what is meant to be alive under a name. Both ends make it; equal means agreed.

First 16 bytes of SHA-256 over all items, in the order of ids: id, creation version, one version per unit. Equal
versions of one item are equal values, so that these need not be told. Keys are the agent's on either side.
"""

from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.compat import Hash
    from cradle_protocol.sync.version import Version

PROOF_SIZE = 16  # bytes, as many as an id has


def prove(hasher: "Hash", item_id: bytes, created: "Version", versions: "list[Version]") -> None:
    """Add the next item."""
    hasher.update(item_id)
    for tick, key in [created] + versions:
        hasher.update(pack(">HI", key, tick))
