"""A serial line in virtual time: two link machines, bytes that take time, seeded faults. Nobody sleeps here."""

from cradle_protocol.compat import MICROPYTHON, ticks_diff
from cradle_protocol.wire.link import CONNECTED, CONSOLE, DATA, LOST, LinkMachine
from cradle_protocol.wire.link_desktop import DesktopLink
from cradle_protocol.wire.parameters import LinkConfig

MILLION = 1000000


class Dice:
    """A small generator that gives the same numbers on both interpreters (Numerical Recipes' LCG, its high bits)."""

    def __init__(self, seed):
        self.state = seed & 0xFFFFFFFF

    def below(self, limit):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) * limit >> 24

    def bytes(self, size):
        out = bytearray(size)
        for i in range(size):
            out[i] = self.below(256)
        return bytes(out)


class Clean:
    """No faults. What the others derive from: `pass_on` gives what arrives of a piece, `now` in microseconds."""

    def pass_on(self, data, now):
        return data


class Noise(Clean):
    """Octets that are changed, one in `every`; the distance to the next is drawn, not each octet."""

    def __init__(self, every, seed):
        self.every, self.dice = every, Dice(seed)
        self.left = self.draw()
        self.hits = 0

    def draw(self):
        """Nearly geometric: the smallest of a few draws would be dearer and no better here."""
        distance = 0
        while True:
            step = self.dice.below(2 * self.every)
            distance += step // 2
            if self.dice.below(2):
                return distance + 1

    def pass_on(self, data, now):
        if self.left > len(data):
            self.left -= len(data)
            return data
        data = bytearray(data)
        at = self.left - 1
        while at < len(data):
            data[at] ^= 1 << self.dice.below(8)
            self.hits += 1
            at += self.draw()
        self.left = at - len(data) + 1
        return bytes(data)


class Lossy(Noise):
    """Runs of `burst` octets that vanish."""

    def __init__(self, every, burst, seed):
        super().__init__(every, seed)
        self.burst, self.gone = burst, 0

    def pass_on(self, data, now):
        kept = bytearray()
        for octet in data:
            if self.gone:
                self.gone -= 1
                continue
            self.left -= 1
            if self.left <= 0:
                self.left, self.gone = self.draw(), self.burst - 1
                self.hits += 1
                continue
            kept.append(octet)
        return bytes(kept)


class Doubled(Noise):
    """Octets that come twice."""

    def pass_on(self, data, now):
        out = bytearray()
        for octet in data:
            out.append(octet)
            self.left -= 1
            if self.left <= 0:
                self.left = self.draw()
                self.hits += 1
                out.append(octet)
        return bytes(out)


class Deaf(Clean):
    """From `start` to `end` (microseconds) only the first `fifo` octets get through."""

    def __init__(self, start, end, fifo=32):
        self.start, self.end, self.room = start, end, fifo

    def pass_on(self, data, now):
        if not self.start <= now < self.end:
            return data
        kept, self.room = data[: self.room], max(0, self.room - len(data))
        return kept


class Printing(Clean):
    """Text that the device's program prints between frames, every `every` frames."""

    def __init__(self, every):
        self.every, self.count, self.printed = every, 0, b""

    def pass_on(self, data, now):
        self.count += 1
        if self.count % self.every:
            return data
        text = b"reading %d ~ ok\r\n" % self.count
        self.printed += text
        return data + text


class Wire:
    """One direction: what was written and has not arrived. `ahead` is what the writer's system buffers."""

    def __init__(self, baud, fault, delay, ahead):
        self.baud = baud
        self.fault, self.delay, self.ahead = fault, delay, ahead
        self.free = 0  # when the line has sent all
        self.queue = []  # (arrival, data)
        self.octets = 0

    def ready(self):
        """When the next frame is asked for."""
        return self.free - self.time(self.ahead)

    def time(self, octets):
        """Microseconds on the line, ten bits an octet; rounded up."""
        return (octets * 10 * MILLION + self.baud - 1) // self.baud

    def write(self, data, now):
        self.free = max(self.free, now) + self.time(len(data))
        self.octets += len(data)
        self.queue.append((self.free + self.delay, data))


class End:
    """What an owner does: gives bytes, takes bytes, pulls frames."""

    def __init__(self, machine):
        self.machine = machine
        self.source = memoryview(b"")
        self.got = bytearray()
        self.console = b""
        self.events = []
        self.hold = False  # takes no data

    def feed(self):
        if len(self.source) and self.machine.room():
            self.source = self.source[self.machine.send(self.source) :]

    def take(self, data, now):
        self.machine.receive_data(data, now)
        if self.hold:
            self.machine.absorb()
            return
        self.drain()

    def drain(self):
        event = self.machine.next_event()
        while event is not None:
            name, what = event
            if name == DATA:
                self.got.extend(what)
            elif name == CONSOLE:
                self.console += what
            else:
                self.events.append(name)
                if name == LOST:
                    self.reason = what
            event = self.machine.next_event()


class Line:
    """Two ends and what is between them. `faults` are those toward the device and toward the desktop."""

    def __init__(self, desktop=None, device=None, faults=None, baud=115200, delay=0, ahead=0, piece=0, start=0):
        self.desktop = End(DesktopLink(desktop or LinkConfig()))
        self.device = End(LinkMachine(False, device or LinkConfig()))
        to_device, to_desktop = faults or (Clean(), Clean())
        self.down = Wire(baud, to_device, delay, ahead)
        self.up = Wire(baud, to_desktop, delay, ahead)
        self.piece = piece
        self.now = 0  # microseconds
        self.start = start  # added to every tick: clocks need not begin at 0
        self.tap = None  # called with (from desktop, frame)
        self.cut = False

    def ms(self):
        return (self.now // 1000 + self.start) & 0x3FFFFFFF

    def sides(self):
        return (self.desktop, self.down, self.device), (self.device, self.up, self.desktop)

    def pull(self):
        """Let every end write what it may."""
        for end, wire, _ in self.sides():
            while wire.ready() <= self.now:
                end.feed()
                frame = bytes(end.machine.data_to_send(self.ms()))
                if not frame:
                    break
                if self.tap:
                    self.tap(end is self.desktop, frame)
                wire.write(frame, self.now)

    def next_time(self):
        times = [wire.queue[0][0] for _, wire, _ in self.sides() if wire.queue]
        for end, wire, _ in self.sides():
            if wire.ready() > self.now:
                times.append(wire.ready())
            due = end.machine.next_timer()
            if due is not None:
                times.append(self.now + max(1, ticks_diff(due, self.ms())) * 1000)
        return min(times) if times else None

    def step(self):
        """Go to the next moment at which something happens. False if nothing will."""
        self.pull()
        moment = self.next_time()
        if moment is None:
            return False
        self.now = max(self.now, moment)
        for _, wire, receiver in self.sides():
            while wire.queue and wire.queue[0][0] <= self.now:
                data = wire.fault.pass_on(wire.queue.pop(0)[1], self.now)
                if self.cut:
                    continue
                size = self.piece or max(1, len(data))
                for at in range(0, len(data), size):
                    receiver.take(data[at : at + size], self.ms())
        for end, _, _ in self.sides():
            end.machine.handle_timer(self.ms())
            if not end.hold:
                end.drain()
        return True

    def wait(self, microseconds):
        """Let time pass, whether or not anything happens."""
        end = self.now + microseconds
        while True:
            self.pull()
            moment = self.next_time()
            if moment is None or moment > end:
                self.now = end
                return
            self.step()

    def run(self, until, seconds=600):
        """Go on until `until()`; an error after so many virtual seconds."""
        limit = self.now + seconds * MILLION
        while not until():
            assert self.step(), "the line fell silent"
            assert self.now < limit, "not done after %d virtual seconds" % seconds

    def connect(self):
        self.desktop.machine.connect(self.ms())
        self.run(lambda: self.desktop.events[-1:] == [CONNECTED])
        return self

    def carry(self, data=b"", back=b"", seconds=600):
        """Send these both ways; the microseconds until all has arrived."""
        begun = self.now
        wanted = len(self.device.got) + len(data), len(self.desktop.got) + len(back)
        self.desktop.source, self.device.source = memoryview(data), memoryview(back)
        self.run(lambda: len(self.device.got) >= wanted[0] and len(self.desktop.got) >= wanted[1], seconds)
        return self.now - begun


def efficiency(size, taken, baud=115200):
    """Which part of the line's octets were the owner's."""
    return size * 10 * MILLION / baud / taken


# Window and frame size of a small board.
WINDOW, INFO = (8, 128) if MICROPYTHON else (16, 256)


def small_line(faults=None, window=WINDOW, max_info=INFO, **more):
    """Two ends with the memory of a board."""
    return Line(LinkConfig(window, max_info), LinkConfig(window, max_info), faults, **more)


class Drop(Clean):
    """Frame number `number` is lost, and then every `every`th."""

    def __init__(self, number, every=0):
        self.number, self.every, self.count = number, every, 0

    def pass_on(self, data, now):
        self.count += 1
        if self.count == self.number or (self.every and self.count % self.every == 0):
            return b""
        return data


class Twice(Clean):
    """Every frame comes twice."""

    def pass_on(self, data, now):
        return data + data


def count_timers(machine):
    """A list that grows with every timer of the machine that polls."""
    timers = []
    poll_again = machine._poll_again

    def counted():
        timers.append(1)
        poll_again()

    machine._poll_again = counted
    return timers
