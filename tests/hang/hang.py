"""Programs in Python that hang: hang.py SCENE. As hang.c does, each process takes a name."""

import os
import subprocess
import sys
import threading
import time


def name(text):
    with open("/proc/self/comm", "w") as comm:
        comm.write(text)


def wait_before_read():
    """The documented mistake with Popen.wait() and a pipe."""
    name("parent")
    flood = "open('/proc/self/comm', 'w').write('child'); print('x' * 1000000)"
    subprocess.Popen([sys.executable, "-c", flood], stdout=subprocess.PIPE).wait()


def opens_crosswise():
    """Both sides open their reading end first."""
    os.mkfifo("up")
    os.mkfifo("down")
    if os.fork() == 0:
        name("second")
        open("down")
    name("first")
    open("up")


def reader_in_thread():
    reader, _writer = os.pipe()

    def read():
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
            comm.write("worker")
        os.read(reader, 1)

    name("main")
    worker = threading.Thread(target=read)
    worker.start()
    worker.join()


def held_by_sleeper():
    """The sleep of Python ends at an absolute time (clock_nanosleep(2))."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        name("holder")
        time.sleep(1000)
    name("reader")
    os.close(writer)
    os.read(reader, 1)


SCENES = {
    "wait-before-read": wait_before_read,
    "opens-crosswise": opens_crosswise,
    "held-by-sleeper": held_by_sleeper,
    "reader-in-thread": reader_in_thread,
}

SCENES[sys.argv[1]]()
