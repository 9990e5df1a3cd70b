#!/usr/bin/env python3
"""client.py [WKP [SECONDS]]: a client for the protocol in docs/protocol.md.

Each line of stdin is one message. Each reply is printed as one line.
"""
import contextlib, errno, fcntl, os, select, struct, sys, time, zlib

MAGIC, FIELDS, MORE, LONGEST = b"\0WKP", struct.Struct(">BBHHQL"), 1, 4067
HELLO, ACK, READY, REQUEST, REPLY, REFUSE, BYE = range(1, 8)
# Retry after these errors: no server, the server has gone, or its pipe is locked or full.
AGAIN = errno.ENOENT, errno.ENXIO, errno.EPIPE, errno.EAGAIN

class Refused(Exception):
    def __init__(self, reason):  # shows "?" for characters that act on a terminal
        super().__init__("".join(c if c.isprintable() else "?" for c in reason.decode(errors="replace")))

def masked(content, mask):
    return bytes(byte ^ mask[at % 2] for at, byte in enumerate(content)) if any(mask) else content

def checked(content):
    return zlib.crc32(content).to_bytes(4, "big") + content

def frame(kind, session, sequence=0, payload=b"", part=0, flags=0):
    content = checked(FIELDS.pack(kind, flags, len(payload), part, session, sequence) + payload)
    masks = (number.to_bytes(2, "big") for number in range(2**16))
    mask = next(mask for mask in masks if MAGIC not in mask + masked(content, mask))
    return MAGIC + mask + masked(content, mask) + b"\n"

def receive(from_server, session):
    """Returns the next frame of this session: its sequence number, part, flags and payload."""
    while True:
        head = from_server.read(28)
        if len(head) < 28:
            raise OSError(errno.EPIPE, "the server has gone")
        content = masked(head[6:], head[4:6])
        kind, flags, length, part, whose, sequence = FIELDS.unpack(content[4:])
        rest = from_server.read(length + 1)
        payload = masked(rest[:-1], head[4:6])
        if head[:4] != MAGIC or rest[-1:] != b"\n" or checked(content[4:] + payload) != content + payload:
            raise OSError(errno.EPROTO, "a broken frame came")
        if whose == session and kind == REFUSE:
            raise Refused(payload)
        if whose == session and kind == BYE:
            raise OSError(errno.EPIPE, f"the server says: {Refused(payload)}")
        if whose == session:
            return sequence, part, flags, payload

def open_to_write(path):
    return open(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "wb", buffering=0)

def shake_hands(wkp, deadline):
    folder, name = os.path.split(wkp)
    name = f"{name}.client.{os.getpid()}.{os.urandom(8).hex()}"
    private, nonce = os.path.join(folder, name), int.from_bytes(os.urandom(8), "big")
    os.mkfifo(private, 0o600)                                                           # step 3
    try:
        from_server = open(os.open(private, os.O_RDONLY | os.O_NONBLOCK), "rb")
        to_server = open_to_write(wkp)                                                  # step 4
        fcntl.flock(to_server, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(to_server.fileno()), os.lstat(wkp)):
            raise OSError(errno.ENOENT, "the well-known pipe has lost its name")
        if not to_server.write(frame(HELLO, nonce, payload=b"\0\2" + os.fsencode(name))):
            raise OSError(errno.EAGAIN, "the well-known pipe is full")
        fcntl.flock(to_server, fcntl.LOCK_UN)
        answer = select.poll()                                                          # step 5
        answer.register(from_server, select.POLLIN)
        answer.register(to_server, 0)  # reports only an error
        if not answer.poll(max(0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("no answer in time")
        os.set_blocking(from_server.fileno(), True)
        *_, ack = receive(from_server, nonce)  # also after an error: an ACK may have come before it
    finally:
        os.unlink(private)                                                              # step 8
    session, _, window, longest = struct.unpack_from(">QHHQ", ack)
    if upstream := os.fsdecode(ack[20:]):
        to_server = open_to_write(os.path.join(folder, upstream))
    os.set_blocking(to_server.fileno(), True)
    to_server.write(frame(READY, session))
    return from_server, to_server, session, window, longest

def connect(wkp, deadline):
    pause = 50e-6
    while True:
        try:
            return shake_hands(wkp, deadline)
        except OSError as error:
            if error.errno not in AGAIN or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 20e-3)

def ask(from_server, to_server, session, sequence, pieces):
    for part, piece in enumerate(pieces, 1):
        flags = MORE if part < len(pieces) else 0
        to_server.write(frame(REQUEST, session, sequence, piece, (part - 1) % 2**16, flags))
    reply, due, flags = bytearray(), 0, MORE
    while flags & MORE:
        *came, flags, payload = receive(from_server, session)
        if came != [sequence, due % 2**16]:
            raise OSError(errno.EPROTO, "a frame of the reply is missing")
        reply, due = reply + payload, due + 1
    return reply

def talk(from_server, to_server, session, window, longest):
    sequence = status = 0
    for line in sys.stdin.buffer:
        message = line.rstrip(b"\n")
        pieces = [message[at:at + LONGEST] for at in range(0, len(message), LONGEST)] or [b""]
        try:
            if len(message) > longest or 0 < window < len(pieces):
                raise Refused(b"it is longer than the server takes")
            sequence = (sequence + 1) % 2**32
            sys.stdout.buffer.write(ask(from_server, to_server, session, sequence, pieces) + b"\n")
            sys.stdout.flush()
        except Refused as reason:
            print(f"client.py: a message is refused: {reason}", file=sys.stderr)
            status = 1
    with contextlib.suppress(BrokenPipeError):  # every message has been answered
        to_server.write(frame(BYE, session))
    return status

def main(wkp="mario", seconds="10"):
    failed = 3
    try:
        connection = connect(wkp, time.monotonic() + float(seconds))
        failed = 1
        return talk(*connection)
    except (OSError, Refused) as error:
        print(f"client.py: {wkp}: {error}", file=sys.stderr)
        return 1 if isinstance(error, TimeoutError) else failed

sys.exit(main(*sys.argv[1:]))
