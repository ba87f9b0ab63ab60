"""Servers that are named on the command line: anything that speaks RESP, alone or as three nodes. README.md here has examples."""
import os
import shlex

from clusters import NODES, Cluster
from systems import Failed, Process
import loads
from wire import Wire


def parse(text):
    """(name, the rest) of NAME=..."""
    name, sign, rest = text.partition("=")
    if not sign or not name or not rest:
        raise ValueError("%r is not NAME=..." % text)
    return name, rest


class Peer(Process):
    """One process. Not asked for its exit status: what others do at the end is theirs."""

    def __init__(self, name, options, folder):
        port = folder.ports(1)[0]
        data = os.path.join(options.folder, name)
        super().__init__(name, argv_of(options.peers[name], port, data), port, data, options.syncs)
        self.options = options

    def leader(self):
        return self.port

    def load(self, test, size):
        return loads.resp_argv(self.options, self.port, test, size)

    def prepare(self, test, size, anew=False):
        loads.prepare(self, test, size, anew)

    def stop(self, *_):
        self.kill()
        return 0


class PeerCluster(Cluster):
    """Three processes of the same command line: the first is told --peer-first, if there is one, the others --peer-next. The load
    goes to the node that takes writes."""

    def __init__(self, name, options, folder):
        super().__init__(name, options)
        for i, port in enumerate(folder.ports(NODES)):
            data = os.path.join(options.folder, "%s-%d" % (name, i + 1))
            self.nodes.append(Process("%s-%d" % (name, i + 1), argv_of(options.peers[name], port, data), port, data, options.syncs))
        self.first, self.next = options.peer_first.get(name), options.peer_next[name]

    def start(self):
        for number, node in enumerate(self.nodes):
            node.start()
            words = self.first if number == 0 else self.next
            if words:
                self.tell(node, words)
        self.port = self.wait_leader()

    def tell(self, node, words):
        with Wire(node.port) as wire:
            answer = wire.call(*(word.format(first=self.nodes[0].port, port=node.port).encode() for word in shlex.split(words)))
        if isinstance(answer, bytes) and answer.startswith(b"-"):
            raise Failed("%s was told %s and answered %r" % (node.kind, words, answer))

    def ask_leader(self):
        for node in self.nodes:
            with Wire(node.port, 5) as wire:
                if wire.call(b"SET", b"bench:who", b"leads") == b"+OK":
                    wire.call(b"DEL", b"bench:who")
                    return node.port
        return None

    def stop(self):
        self.kill()
        return 0


def argv_of(line, port, folder):
    return [word.format(port=port, dir=folder) for word in shlex.split(line)]


def make(name, options, folder):
    return (PeerCluster if name in options.peer_next else Peer)(name, options, folder)
