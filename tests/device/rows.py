"""A desktop's hand for streams, and a program that records. Both run on both interpreters. No tests here."""

import json

from cradle_device import system
from cradle_device.agent import Agent
from cradle_device.readings import Readings
from cradle_protocol.compat import crc32
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.handshake import Identity
from cradle_protocol.wire.messages import stream as m
from device.hands import DESKTOP, SMALL, Hand
from device.place import PLACE

NOBODY = bytes(16)
OTHER = Identity(b"E" * 16, "laptop")
NOW = 1764000000000  # a true time, milliseconds


class Clock:
    """A device's clock, milliseconds; a program of tests sets it."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


def clean(folder):
    """No such folder, whatever was in it."""
    import os

    if system.exists(folder):
        for name in os.listdir(folder):
            path = folder + "/" + name
            if os.stat(path)[0] & 0x4000:
                clean(path)
            else:
                os.remove(path)
        os.rmdir(folder)
    return folder


def recorder(name, fresh=True, clock=None, **more):
    """An agent with a stream; `more` is for Readings."""
    folder = PLACE + "/rows-" + name
    if fresh:
        clean(folder)
    agent = Agent(folder, [], "logger", SMALL)
    return agent, Readings(agent, clock=clock or Clock(), **more)


class Far:
    """What one desktop has of a stream: rows {number: (time, object)} in the order they came, gaps, eras' pairs."""

    def __init__(self, me=DESKTOP):
        self.me = me
        self.stream, self.position, self.mark = NOBODY, 0, 0
        self.rows, self.order, self.gaps, self.pairs = {}, [], [], {}

    def join(self, agent):
        self.hand = Hand(agent, me=self.me)
        return self

    def open(self, preview=False, true=NOW):
        flags = c.PREVIEW if preview else 0
        asked = m.StreamOpen(flags, "readings", self.stream, self.position, self.mark, true)
        reply = m.StreamOpenReply.from_bytes(self.hand.joined(c.STREAM_OPEN, asked.to_bytes()))
        if reply.stream != self.stream:
            self.stream, self.position, self.mark = reply.stream, reply.first, 0
        return reply

    def leave(self, agent):
        """Want no more rows."""
        self.join(agent)
        asked = m.StreamOpen(c.LEAVE, "readings", NOBODY, 0, 0, NOW)
        self.hand.joined(c.STREAM_OPEN, asked.to_bytes())
        self.hand.service.close("done")

    def read(self, credit=1 << 20):
        """One page; the end of what is there."""
        asked = m.StreamRead("readings", self.stream, self.position, credit)
        number = era = -1
        for kind, part in self.hand.ask(c.STREAM_READ, asked.to_bytes()):
            if kind == c.STREAM_END:
                end = m.StreamEnd.from_bytes(part)
                assert end.next == self.position
                return end.end
            at = 0
            while at < len(part):
                tag, values, at = m.decode_element(part, at)
                if tag == c.MARK:
                    number, era = values[0], values[1]
                    if values[2]:
                        self.pairs[era] = values[3], values[4]
                elif tag == c.GAP:
                    assert values[0] == self.position
                    self.gaps.append((values[0], values[1]))
                    self.position += values[1]
                else:
                    assert number == self.position and number not in self.rows
                    time, data = values[0], bytes(values[1])
                    self.rows[number] = time, json.loads(data), era
                    self.order.append(number)
                    self.mark = crc32(time.to_bytes(6, "big") + data)
                    number += 1
                    self.position = number
        raise AssertionError("no end")

    def ack(self):
        self.hand.ask(c.STREAM_ACK, m.StreamAck("readings", self.stream, self.position).to_bytes())

    def fetch(self, agent, credit=1 << 20, true=NOW):
        """A whole sync; the numbers of the rows that came."""
        before = len(self.order)
        self.join(agent)
        end = self.open(true=true).end
        while self.position < end:
            end = self.read(credit)
            self.ack()
        self.hand.service.close("done")
        return self.order[before:]
