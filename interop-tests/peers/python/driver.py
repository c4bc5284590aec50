"""The C++ peer: rocketmq-client-cpp 1.0.1 through the PyPI package `rocketmq`.

Speaks the line protocol of ../README.md. Each command runs in a process of its own (command.py):
many instances of the library in one process now and then end it while one of them shuts down.
"""

import pathlib
import subprocess
import sys
import threading

COMMAND = pathlib.Path(__file__).with_name("command.py")


def watch(ident, child, stopped):
    """Reports a command whose process ended without doing so itself."""
    code = child.wait()
    if code == 0:
        return
    if stopped.is_set():
        # The library may fall over its own threads while it shuts down.
        print(f"{ident}: ended by {code} while shutting down", file=sys.stderr, flush=True)
        line = f"{ident}\tSTOPPED\n"
    else:
        line = f"{ident}\tERROR\tthe library ended the process: {code}\n"
    sys.stdout.write(line)
    sys.stdout.flush()


def main():
    running, watchers = {}, []
    for line in sys.stdin:
        words = line.rstrip("\n").split("\t")
        if len(words) < 2:
            continue
        if words[1] == "stop":
            child, stopped = running.get(words[0], (None, None))
            if child and not stopped.is_set():
                stopped.set()
                child.stdin.close()
            continue
        child = subprocess.Popen([sys.executable, COMMAND, *words], stdin=subprocess.PIPE)
        stopped = threading.Event()
        running[words[0]] = (child, stopped)
        watchers.append(threading.Thread(target=watch, args=(words[0], child, stopped), daemon=True))
        watchers[-1].start()
    for child, stopped in running.values():
        stopped.set()
        child.stdin.close()
    for child, _ in running.values():
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()


if __name__ == "__main__":
    main()
