"""Takes some members out of a wheel: unpack.py WHEEL FOLDER PREFIX=TARGET...

A member whose name begins with PREFIX goes to FOLDER/TARGET plus the rest of its name. Each member's CRC is checked.
Prints `bytes done, bytes in all` from time to time.
"""
import os
import sys
import zipfile

wheel, folder = sys.argv[1:3]
targets = [pair.split("=") for pair in sys.argv[3:]]


def place(name):
    for prefix, target in targets:
        if name.startswith(prefix) and ".." not in name.split("/") and not name.endswith("/"):
            return os.path.join(folder, target + name[len(prefix):])
    return None


with zipfile.ZipFile(wheel) as archive:
    chosen = [(member, place(member.filename)) for member in archive.infolist()]
    chosen = [(member, path) for member, path in chosen if path]
    total, done, told = sum(member.file_size for member, _ in chosen), 0, 0
    for member, path in chosen:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(member) as source, open(path, "wb") as target:
            while piece := source.read(1 << 20):
                target.write(piece)
                done += len(piece)
                if done - told >= 1 << 24 or done == total:
                    print(done, total, flush=True)
                    told = done
        os.chmod(path, (member.external_attr >> 16 & 0o777) | 0o600)
