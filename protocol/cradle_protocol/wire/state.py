"""The states of a link machine, as a table. What is not in the table does not happen and changes nothing.

Theory of operation. HDLC's asynchronous balanced mode, extended (modulo 128), with these choices:

 1. Only the desktop opens. It sends nothing but SABME until UA has come, so that a port with no agent behind it never
    sees anything else. SABME and UA carry what each end can take (window, frame size, whether its port may be a REPL)
    and the connection tag; every frame carries the tag, and frames of another connection are dropped unseen (CE-24).
 2. A line is first in, first out. Hence a checkpoint is exact: what was sent before a poll and is not held by the peer
    when it answers is lost. Every poll has a number, its answer repeats it and says what is missing. Timers only send
    polls, never data: a timer that is too short costs fourteen octets.
 3. The sender polls whenever no poll is out, by the P bit of the next I frame; the receiver answers polls at once and
    reports each gap once, by SREJ, the moment it sees it. So a lost frame comes again after one turn of the line, a
    lost repetition or a lost SREJ after two, and a timer is needed only when the last frames of all are lost.
 4. N(R) says what the owner has taken, not what has come: who does not take frames closes the sender's window, and no
    buffer can run over.
 5. Before it becomes deaf (a flash write) an end says RNR with P=1 and waits for the answer: nothing is on the line
    then. RR with P=1 opens the line again. Toward a busy peer timers are long.
 6. Text that looks like a REPL's prompt is the end of the agent (CE-23), and so is a DM: its state is gone.
"""

from cradle_protocol.compat import const

DOWN = const(0)
OPENING = const(1)
UP = const(2)
CLOSING = const(3)

STATES = ("DOWN", "OPENING", "UP", "CLOSING")

# What happens: commands of the owner, frames of the peer, timers
CONNECT = "connect"
DISCONNECT = "disconnect"
GOT_SABME = "SABME"
GOT_UA = "UA"
GOT_DM = "DM"
GOT_DISC = "DISC"
GOT_TRAFFIC = "I, S, UI"
TIMEOUT = "timer"
GAVE_UP = "last timer"
PROMPT = "prompt"

# (desktop, state, what happens) -> (next state, method of LinkMachine)
TABLE = {
    (True, DOWN, CONNECT): (OPENING, "_open"),
    (True, OPENING, GOT_UA): (UP, "_established"),
    (True, OPENING, GOT_DM): (DOWN, "_refused"),
    (True, OPENING, TIMEOUT): (OPENING, "_repeat_sabme"),
    (True, OPENING, GAVE_UP): (DOWN, "_no_answer"),
    (True, OPENING, DISCONNECT): (DOWN, "_closed"),
    (True, UP, GOT_DM): (DOWN, "_restarted"),
    (True, UP, PROMPT): (DOWN, "_at_prompt"),
    (False, DOWN, GOT_SABME): (UP, "_accepted"),
    (False, UP, GOT_SABME): (UP, "_opened_again"),
    (False, CLOSING, GOT_SABME): (UP, "_accepted"),
    (False, DOWN, GOT_DISC): (DOWN, "_send_dm"),
    (False, DOWN, GOT_TRAFFIC): (DOWN, "_send_dm"),
}
for _desktop in (True, False):
    TABLE[(_desktop, UP, GOT_TRAFFIC)] = (UP, "_traffic")
    TABLE[(_desktop, UP, GOT_DISC)] = (DOWN, "_peer_closed")
    TABLE[(_desktop, UP, TIMEOUT)] = (UP, "_poll_again")
    TABLE[(_desktop, UP, GAVE_UP)] = (DOWN, "_no_answer")
    TABLE[(_desktop, UP, DISCONNECT)] = (CLOSING, "_send_disc")
    TABLE[(_desktop, CLOSING, GOT_UA)] = (DOWN, "_closed")
    TABLE[(_desktop, CLOSING, GOT_DM)] = (DOWN, "_closed")
    TABLE[(_desktop, CLOSING, GOT_DISC)] = (DOWN, "_peer_closed")
    TABLE[(_desktop, CLOSING, TIMEOUT)] = (CLOSING, "_send_disc")
    TABLE[(_desktop, CLOSING, GAVE_UP)] = (DOWN, "_closed")
