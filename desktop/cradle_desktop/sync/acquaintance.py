"""Is what answers under a partner's name what was synced last? If not, a sentence for the user. It decides nothing.

The engine heals each of these cases by itself (versions, knowledge, a new replica id); who reads the sentence knows why
much is compared or sent again, or that there are two of what should be one.
"""

from cradle_protocol.sync.version import ID_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.sync.remote import RemoteReplica


def met(remote: "RemoteReplica") -> bytes:
    """Store id and replica id of who answered: to be remembered until the next sync."""
    return remote.store_id + remote.replica_id


def news(name: str, before: bytes, remote: "RemoteReplica") -> str:
    """What is new about who answers since the last sync (`met` of then, b"" if there was none); "" if nothing is."""
    if remote.set_back:
        return (
            f"{name} was set back to an earlier state, perhaps from a backup: it goes on as a new replica, and what it "
            "has missed is sent again"
        )
    if not before or before == met(remote):
        return ""
    store, replica = before[:ID_SIZE], before[ID_SIZE:]
    if store != remote.store_id:
        return (
            f"{name} serves another folder or card than at the last sync: both sides are compared in full, and nothing "
            "is deleted because of that"
        )
    if remote.met_before or replica in remote.replicas:
        return (
            f"{name} is another copy than at the last sync, or was moved to other hardware, or mended: it counts as a "
            "replica of its own, so what was changed on either copy is kept"
        )
    return (
        f"{name} has lost what it knew of earlier syncs: both sides are compared in full, nothing is lost, and what "
        "was deleted since the last sync may come back"
    )
