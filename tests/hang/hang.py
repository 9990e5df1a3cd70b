"""Programs in Python that hang: hang.py SCENE. As hang.c does, each process takes a name."""

import os
import select as multiplexing
import signal
import subprocess
import sys
import threading
import time


def name(text):
    with open("/proc/thread-self/comm", "w") as comm:
        comm.write(text)


def child(text):
    """True in the child."""
    if os.fork() == 0:
        name(text)
        return True
    return False


def wait_for_signal():
    while True:
        signal.pause()


def flood(writer):
    """Writes more than any pipe takes."""
    while True:
        os.write(writer, bytes(65536))


def held_pipe():
    """A pipe that another process, which waits for a signal, can write to."""
    reader, writer = os.pipe()
    if child("holder"):
        wait_for_signal()
    name("reader")
    os.close(writer)
    return reader


def client_private():
    if child("server"):
        wait_for_signal()
    name("client")
    own = str(os.getpid())
    os.mkfifo(own)
    open(own)


def too_early():
    """The client opens its private pipe before it has written its name."""
    os.mkfifo("mario")
    if child("server"):
        open("mario")
    name("client")
    os.mkfifo("secret")
    open("secret")


def client_died():
    """A client ends after it has sent its name."""
    name("server")
    os.mkfifo("mario")
    if child("client"):
        own = str(os.getpid())
        os.mkfifo(own)
        with open("mario", "w") as wkp:
            wkp.write(own)
        os._exit(0)
    with open("mario") as wkp:
        own = wkp.read()
    os.wait()
    if child("next"):
        open("mario", "w")
    open(own, "w")


def server_waits():
    name("server")
    os.mkfifo("mario")
    open("mario")


def busy_server():
    os.mkfifo("mario")
    for _ in range(3):
        if child("client"):
            open("mario", "w")
    name("server")
    wait_for_signal()


def held_end():
    os.read(held_pipe(), 1)


def long_sleep():
    """The sleep of Python ends at an absolute time (clock_nanosleep(2))."""
    reader, writer = os.pipe()
    if child("holder"):
        time.sleep(1000)
    name("reader")
    os.close(writer)
    os.read(reader, 1)


def self_held():
    name("server")
    os.mkfifo("mario")
    reader = os.open("mario", os.O_RDONLY | os.O_NONBLOCK)
    _writer = os.open("mario", os.O_WRONLY)
    os.set_blocking(reader, True)
    os.read(reader, 1)


def self_both():
    name("server")
    os.mkfifo("mario")
    os.read(os.open("mario", os.O_RDWR), 1)


def two_pipes(work):
    """Two processes, each with the read end of one pipe and the write end of another."""
    (to_reader, to_writer), (from_reader, from_writer) = os.pipe(), os.pipe()
    if child("second"):
        os.close(to_writer)
        os.close(from_reader)
        work(to_reader, from_writer)
    name("first")
    os.close(to_reader)
    os.close(from_writer)
    work(from_reader, to_writer)


def two_writers():
    two_pipes(lambda reader, writer: flood(writer))


def two_readers():
    two_pipes(lambda reader, writer: os.read(reader, 1))


def zombie():
    name("parent")
    if child("ended"):
        os._exit(1)
    wait_for_signal()


def until_parent_waits():
    """Waits until the parent waits in an open() of a FIFO."""
    path = f"/proc/{os.getppid()}/wchan"
    while open(path).read() != "wait_for_partner":
        time.sleep(0.001)


def gone_wkp():
    name("client")
    os.mkfifo("mario")
    if child("remover"):
        until_parent_waits()
        os.remove("mario")
        wait_for_signal()
    open("mario", "w")


def newer_wkp():
    """A new pipe takes the name, and gets a reader."""
    name("client")
    os.mkfifo("mario")
    if child("server"):
        until_parent_waits()
        os.mkfifo("other")
        os.rename("other", "mario")
        _reader = os.open("mario", os.O_RDONLY | os.O_NONBLOCK)
        wait_for_signal()
    open("mario", "w")


def both_read_first():
    os.mkfifo("up")
    os.mkfifo("down")
    if child("second"):
        open("down")
    name("first")
    open("up")


def both_read_same():
    os.mkfifo("mario")
    if child("second"):
        open("mario")
    name("first")
    open("mario")


def poll():
    polled = multiplexing.poll()
    polled.register(held_pipe(), multiplexing.POLLIN)
    polled.poll()


def select():
    multiplexing.select([held_pipe()], [], [])


def poll_many():
    polled = multiplexing.poll()
    for _ in range(5):
        polled.register(held_pipe(), multiplexing.POLLIN)
    polled.poll()


def epoll():
    watcher, reader = multiplexing.epoll(), held_pipe()
    watcher.register(reader, multiplexing.EPOLLIN)
    watcher.poll()


def spin():
    name("client")
    os.mkfifo("mario")
    reader = os.open("mario", os.O_RDONLY | os.O_NONBLOCK)
    _writer = os.open("mario", os.O_WRONLY)
    while True:
        try:
            os.read(reader, 1)
        except BlockingIOError:
            pass


def stopped():
    name("stopped")
    os.kill(os.getpid(), signal.SIGSTOP)


def stopped_reader():
    reader, writer = os.pipe()
    if child("reader"):
        os.close(writer)
        os.kill(os.getpid(), signal.SIGSTOP)
    name("writer")
    os.close(reader)
    flood(writer)


def own_reader():
    name("writer")
    _reader, writer = os.pipe()
    flood(writer)


def wait_child():
    reader, writer = os.pipe()
    if child("child"):
        os.close(writer)
        os.read(reader, 1)
    name("parent")
    os.wait()


def wait_before_read():
    """The documented mistake with Popen.wait() and a pipe."""
    name("parent")
    flood = "open('/proc/self/comm', 'w').write('child'); print('x' * 1000000)"
    subprocess.Popen([sys.executable, "-c", flood], stdout=subprocess.PIPE).wait()


def reads_as(text, reader):
    name(text)
    os.read(reader, 1)


def threads():
    reader = held_pipe()
    name("main")
    worker = threading.Thread(target=reads_as, args=("worker", reader))
    worker.start()
    worker.join()


def two_threads():
    """Two threads talk by two pipes, and both read."""
    (to_reader, _to_writer), (from_reader, _from_writer) = os.pipe(), os.pipe()
    name("main")
    threading.Thread(target=reads_as, args=("worker", to_reader)).start()
    os.read(from_reader, 1)


def chain():
    """first reads from second, which reads from third, which waits for a signal."""
    (one_reader, one_writer), (two_reader, two_writer) = os.pipe(), os.pipe()
    if child("second"):
        os.close(one_reader)
        os.close(two_writer)
        os.read(two_reader, 1)
    os.close(one_writer)
    os.close(two_reader)
    if child("third"):
        wait_for_signal()
    name("first")
    os.close(two_writer)
    os.read(one_reader, 1)


globals()[sys.argv[1].replace("-", "_")]()
