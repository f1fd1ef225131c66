"""A stick in a world: the agent that a desktop's own process has over it, made anew for each desktop that it visits.

Its store and its log are those of the world's devices, so that it has all their faults; real folders are in `sticks`.
"""

from cradle_desktop.stick.agent import StickKeys, StickReplica
from cradle_desktop.stick.place import device_id
from cradle_device.agent import Agent
from cradle_device.host import HostMetadata
from cradle_device.host_apply import apply
from cradle_protocol.wire import constants as c
from cradle_testing.pair import AgentEnd

KEY = bytes(32)  # a stick asks for none; what is proved is that both ends have the same


class StickEnd(AgentEnd):
    """In a desktop's process. The last visitor's, until the next one comes."""

    def _start(self) -> None:
        known = StickKeys(device_id(self.store.store_id()), self.keys)
        self.agent = Agent(str(self.folder), [], f"S{self.number + 1}", self._limits(), partnerships=known)
        log = self.adapt(HostMetadata)
        self.agent.replicas[self.store.type] = StickReplica(self.store, str(self.folder.parent), known, log)
        self.agent.handlers[c.APPLY] = apply

    def visit(self, desktop_id: bytes) -> None:
        """See AgentEnd."""
        self.keys = {desktop_id: KEY}
        self.restart()
