"""The checksum at the end of a DUMP payload: CRC-64, reflected, polynomial 0xad93d23594c935a9, no final
inversion.

Promises the value Redis writes; crc64(b"123456789") is 0xe9c6d914c4b8d9ca, which is checked on import.
"""


def _table():
    poly = int("{:064b}".format(0xAD93D23594C935A9)[::-1], 2)
    rows = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = c >> 1 ^ poly if c & 1 else c >> 1
        rows.append(c)
    return rows


TABLE = _table()


def crc64(data, crc=0):
    table = TABLE
    for b in data:
        crc = table[(crc ^ b) & 255] ^ crc >> 8
    return crc


assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
