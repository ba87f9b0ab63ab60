#!/usr/bin/python3
"""What a disk holds after the power went: the other half of powercut.c.

    powercut.py DIR SIDE SEED      turns DIR, as the killed program left it, into what a disk could hold

`apply` reads the journal that the preloaded library kept in SIDE and rebuilds DIR: everything that a sync covered
is there; of the rest a part that the seed chooses. SIDE is emptied: the result counts as durable, and the next
start begins a new journal.

What may survive follows what Linux file systems do, and is never harsher than that:

- a sync of a file makes its bytes, its size and its own creation durable; a sync of a folder makes the names in it
  durable;
- unsynced bytes of a file: none, all, the first few writes with the last one torn at a sector, or some pages and not
  others (what is missing below a page that is there reads as zeros or as the old bytes);
- unsynced names come back in the order they were made. "ordered": one order for the whole file system, and any sync
  carries every name before it (ext4 with its journal). "loose": each folder has its own order and only its own sync
  counts. "none" and "all": no unsynced name, every one;
- what a failed sync had to write is at risk for ever, even if a later sync succeeds, unless it is written again
  (Linux marks the pages clean).
"""

import collections
import os
import random
import shutil
import struct
import sys

REC = struct.Struct('<6I7Qq')
HEAD_BYTES = 4096
SECTOR, PAGE = 512, 4096
(BASE_DIR, BASE_FILE, WRITE, TRUNC, SYNC, SYNC_FAIL, SYNC_ALL, CREATE, MKDIR, LINK, UNLINK, RENAME) = range(1, 13)
NAMES = (CREATE, MKDIR, LINK, UNLINK, RENAME)

Rec = collections.namedtuple('Rec', 'pos type ino dino dino2 off len size res name name2 data')


def read_journal(path):
    """All records of a journal, or None when the process died before it did anything."""
    out = []
    with open(path, 'rb') as f:
        head = f.read(HEAD_BYTES)
        if head[:8] != b'POWERCUT':
            return None
        tail = struct.unpack_from('<Q', head, 8)[0]
        blob = f.read(tail - HEAD_BYTES)
    pos = 0
    while pos < len(blob):
        (magic, type_, total, n1, n2, _, ino, dino, dino2, off, len_, size, data_len, res) = REC.unpack_from(blob, pos)
        assert magic == 0x31524350, 'the journal is damaged'
        at = pos + REC.size
        name, name2 = blob[at:at + n1], blob[at + n1:at + n1 + n2]
        data = (at + n1 + n2, data_len)
        out.append(Rec(pos + HEAD_BYTES, type_, ino, dino, dino2, off, len_, size, res, name, name2,
                       blob[data[0]:data[0] + data[1]] if data_len else b''))
        pos += total
    return out


class Op:
    """One change to a file's bytes: WRITE puts `new` at `off`; TRUNC sets the size to `off`."""
    __slots__ = ('pos', 'kind', 'off', 'len', 'size', 'old', 'new', 'must')

    def __init__(self, pos, kind, off, len_, size, old):
        self.pos, self.kind, self.off, self.len, self.size, self.old = pos, kind, off, len_, size, old
        self.new, self.must = b'', False


def content_ops(recs, live_size):
    """Per inode its changes in order, each marked `must` when a sync covered it."""
    ops, ends, synced, all_synced = collections.defaultdict(list), {}, {}, 0
    doomed = collections.defaultdict(list)      # inode -> [(from, to)]: what failed syncs had to write
    for r in recs:
        if r.type == BASE_FILE:
            ends[r.ino] = r.size
        elif r.type == CREATE:
            ends[r.ino] = 0
        elif r.type in (WRITE, TRUNC) and r.res != -2:
            if r.type == TRUNC:
                op = Op(r.pos, TRUNC, r.off, 0, r.size, r.data)
                ends[r.ino] = r.off
            else:
                done = r.res if r.res >= 0 else min(r.len, max(0, live_size(r.ino) - r.off))
                op = Op(r.pos, WRITE, r.off, done, r.size, r.data)
                ends[r.ino] = max(r.size, r.off + done)
            ops[r.ino].append(op)
        elif r.type == SYNC:
            synced.setdefault(r.ino, []).append((r.off, r.size))
        elif r.type == SYNC_FAIL:
            covered = max([c for c, _ in synced.get(r.ino, [])] + [all_synced])
            doomed[r.ino].append((covered, r.off))
        elif r.type == SYNC_ALL:
            all_synced = r.off
    for ino in set(ops) | set(ends):
        syncs = synced.get(ino, [])
        covered = max([c for c, _ in syncs] + [all_synced])
        for op in ops[ino]:
            op.must = op.pos < covered and not any(a <= op.pos < b for a, b in doomed[ino])
        # What grew without a record was written through stdio; each sync saw a size.
        size, end = live_size(ino), ends.get(ino, 0)
        if size > end:
            durable = min(size, max([s for _, s in syncs] + [end]))
            if durable > end:
                tail = Op(1 << 62, WRITE, end, durable - end, end, b'')
                tail.must = True
                ops[ino].append(tail)
            if size > durable:
                ops[ino].append(Op(1 << 62, WRITE, durable, size - durable, durable, b''))
    return {ino: list_ for ino, list_ in ops.items() if not all(op.must for op in list_)}


def rewrite(path, ops, rng, holes):
    """Takes a file back to before its first unsynced change, and on again with a choice of them."""
    first = next(i for i, op in enumerate(ops) if not op.must)
    ops = ops[first:]
    fd = os.open(path, os.O_RDWR)
    try:
        for op in reversed(ops):
            if op.kind == WRITE:
                op.new = os.pread(fd, op.len, op.off)
                os.ftruncate(fd, op.size)
                if op.old:
                    os.pwrite(fd, op.old, op.off)
            else:
                os.ftruncate(fd, op.size)
                if op.old:
                    os.pwrite(fd, op.old, op.off)
        free = [op for op in ops if not op.must]
        how = rng.choices(('drop', 'keep', 'prefix', 'pages'), (35, 15, 25, 25 if holes else 0))[0]
        keep_count = rng.randrange(len(free)) if how == 'prefix' else 0
        seen = 0
        for op in ops:
            if op.must:
                parts = [(0, op.len)]
            elif how == 'drop':
                continue
            elif how == 'keep':
                parts = [(0, op.len)]
            elif how == 'prefix':
                seen += 1
                if seen > keep_count + 1:
                    continue
                torn = op.len
                if seen == keep_count + 1:      # the last one: torn where a sector of the file ends
                    torn = max(0, min(op.len, (op.off + rng.randrange(op.len + 1)) // SECTOR * SECTOR - op.off))
                    if op.kind == TRUNC:
                        continue
                parts = [(0, torn)]
            else:
                if op.kind == TRUNC and rng.random() < 0.5:
                    continue
                parts, at = [], 0
                while at < op.len:
                    step = min(op.len - at, PAGE - (op.off + at) % PAGE)
                    if rng.random() < 0.5:
                        parts.append((at, at + step))
                    at += step
            if op.kind == TRUNC:
                os.ftruncate(fd, op.off)
                continue
            for a, b in parts:
                if b > a:
                    os.pwrite(fd, op.new[a:b], op.off + a)
    finally:
        os.close(fd)
    return how


def surviving_names(recs, rng):
    """The names after the cut: (folder inode, name) -> inode."""
    base, ops = {}, []
    for r in recs:
        if r.type in (BASE_DIR, BASE_FILE) and r.dino:
            base[r.dino, r.name] = r.ino
        elif r.type in NAMES:
            ops.append(r)
    how = rng.choices(('ordered', 'loose', 'none', 'all'), (40, 30, 15, 15))[0]
    kept = set()
    if how == 'all':
        kept = set(range(len(ops)))
    elif how == 'ordered':
        floor = max([r.off for r in recs if r.type in (SYNC, SYNC_ALL)] + [0])
        must = sum(1 for op in ops if op.pos < floor)
        kept = set(range(rng.randint(must, len(ops))))
    else:
        synced = collections.defaultdict(int)
        for r in recs:
            if r.type == SYNC:
                synced[r.ino] = max(synced[r.ino], r.off)
            elif r.type == SYNC_ALL:
                synced.default_factory = lambda floor=r.off: floor
                for ino in synced:
                    synced[ino] = max(synced[ino], r.off)
        born = {op.ino: i for i, op in enumerate(ops) if op.type in (CREATE, MKDIR)}

        def pin(i):
            """A durable entry needs the folders above it."""
            while i is not None and i not in kept:
                kept.add(i)
                i = born.get(ops[i].dino2 or ops[i].dino)

        folders = collections.defaultdict(list)
        for i, op in enumerate(ops):
            folders[op.dino2 or op.dino].append(i)
            if op.pos < max(synced[op.dino2 or op.dino], synced[op.dino]):
                pin(i)
            elif op.type in (CREATE, MKDIR) and op.pos < synced[op.ino]:
                pin(i)
        if how == 'loose':
            for list_ in folders.values():
                for i in list_[:rng.randint(0, len(list_))]:
                    pin(i)
    names = base
    for i, op in enumerate(ops):
        if i not in kept:
            continue
        if op.type in (CREATE, MKDIR, LINK):
            names[op.dino, op.name] = op.ino
        elif op.type == UNLINK:
            if names.get((op.dino, op.name)) == op.ino:
                del names[op.dino, op.name]
        else:
            if names.get((op.dino, op.name)) == op.ino:
                del names[op.dino, op.name]
            names[op.dino2, op.name2] = op.ino
    return names, how, len(ops) - len(kept)


def find_inodes(top, paths, entries):
    """Fills paths (inode -> a path to it) and entries ((folder inode, name) -> inode) from a tree."""
    top_ino = os.stat(top).st_ino
    for folder, dirs, files in os.walk(top):
        ino = os.stat(folder).st_ino
        paths.setdefault(ino, folder)
        for name in dirs + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            paths.setdefault(st.st_ino, path)
            entries[ino, os.fsencode(name)] = st.st_ino
    return top_ino


def clear_side(side):
    shutil.rmtree(os.path.join(side, 'grave'), ignore_errors=True)
    try:
        os.unlink(os.path.join(side, 'journal'))
    except FileNotFoundError:
        pass


def apply(dir_, side, seed, holes=True):
    """Cuts the power: rebuilds dir_. Returns a line that says what was done to it.

    holes=False leaves out files whose unsynced pages survive without those before them.
    """
    dir_ = dir_.rstrip('/')
    journal = os.path.join(side, 'journal')
    recs = read_journal(journal) if os.path.exists(journal) else None
    if recs is None:
        clear_side(side)
        return 'nothing to cut'
    rng = random.Random(seed)
    paths, entries = {}, {}
    root = find_inodes(dir_, paths, entries)
    grave = os.path.join(side, 'grave')
    buried = {}
    find_inodes(grave, buried, {})
    for ino, path in buried.items():
        paths.setdefault(ino, path)

    # An entry that no record knows was made in the instant of the kill: it may survive like any unsynced one.
    known = {(r.dino2 or r.dino, r.name2 or r.name) for r in recs if r.type in NAMES or r.type in (BASE_DIR, BASE_FILE)}
    for (dino, name), ino in entries.items():
        if (dino, name) not in known:
            recs.append(Rec(1 << 61, MKDIR if os.path.isdir(paths[ino]) else LINK, ino, dino, 0, 0, 0, 0, 0, name, b'', b''))

    def live_size(ino):
        path = paths.get(ino)
        return os.stat(path).st_size if path and os.path.isfile(path) else 0

    hows = collections.Counter()
    changed = content_ops(recs, live_size)
    for ino in sorted(changed, key=lambda i: changed[i][0].pos):
        if ino in paths:
            hows[rewrite(paths[ino], changed[ino], rng, holes)] += 1
    names, how, dropped = surviving_names(recs, rng)

    folders = collections.defaultdict(list)
    for (dino, name), ino in names.items():
        folders[dino].append((name, ino))
    new = dir_ + '.new'
    shutil.rmtree(new, ignore_errors=True)

    def build(to, ino):
        os.mkdir(to, os.stat(paths[ino]).st_mode & 0o7777 if ino in paths else 0o755)
        for name, child in sorted(folders.get(ino, [])):
            path = os.path.join(to, os.fsdecode(name))
            if child not in paths:
                raise RuntimeError(f'{path}: inode {child} has no path left')
            if os.path.isdir(paths[child]):
                build(path, child)
            else:
                os.link(paths[child], path)

    build(new, root)
    old = dir_ + '.old'
    os.rename(dir_, old)
    os.rename(new, dir_)
    shutil.rmtree(old)
    clear_side(side)
    files = ', '.join(f'{n} {k}' for k, n in sorted(hows.items())) or 'none unsynced'
    return f'names {how} ({dropped} dropped), files: {files}'


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    print(apply(sys.argv[1], sys.argv[2], int(sys.argv[3])))
