"""Reads one SQLite file of a ROS 2 bag, of any version of rosbag2."""

import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from handmap.recording.bag_file import Message, Topic, recorded_order
from handmap.types.errors import RecordingError

MAGIC: Final = b"SQLite format 3\0"
_COMPANION_HEAD: Final = 28  # bytes; SQLite zeroes the head of a journal that is done with


class SqliteFile:
    """An open .db3 file; never changed.

    A recorder that was killed leaves a write-ahead log or a journal beside it: the log holds the newest messages and is read
    too; with the journal, half of a transaction is in the file, which only writing can take back.
    """

    def __init__(self, path: Path) -> None:
        if _has_content(path, "-journal"):
            raise RecordingError(
                f"recording {str(path)!r}: its recorder was killed while it wrote, or still writes; if it does not, put the "
                f"file in order with: sqlite3 {shlex.quote(str(path))} 'PRAGMA integrity_check'"
            )
        mode = "mode=ro" if _has_content(path, "-wal") else "immutable=1"
        self._base = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True, check_same_thread=False)
        try:
            rows = self._base.execute("SELECT id, name, type, serialization_format FROM topics ORDER BY id").fetchall()
            counts = dict(self._base.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
            self._topics = {
                number: Topic(str(name), str(msgtype), str(encoding), counts.get(number, 0))
                for number, name, msgtype, encoding in rows
            }
        except BaseException:
            self._base.close()
            raise

    @property
    def topics(self) -> tuple[Topic, ...]:
        """See `BagFile`."""
        return tuple(self._topics.values())

    def messages(self, topics: frozenset[str]) -> Iterator[Message]:
        """See `BagFile`."""
        wanted = [number for number, one in self._topics.items() if one.name in topics]
        marks = ",".join("?" * len(wanted))
        rows = self._base.execute(
            f"SELECT id, topic_id, timestamp FROM messages WHERE topic_id IN ({marks}) ORDER BY id", wanted
        ).fetchall()
        for place in recorded_order([log_ns for _, _, log_ns in rows]):
            number, topic_id, log_ns = rows[place]
            (data,) = self._base.execute("SELECT data FROM messages WHERE id = ?", (number,)).fetchone()
            topic = self._topics[topic_id]
            yield Message(topic.name, topic.msgtype, topic.encoding, log_ns, bytes(data))

    def close(self) -> None:
        """See `BagFile`."""
        self._base.close()


def _has_content(path: Path, suffix: str) -> bool:
    """Whether SQLite's companion of that suffix is beside the file, with content that counts."""
    try:
        with path.with_name(path.name + suffix).open("rb") as companion:
            return any(companion.read(_COMPANION_HEAD))
    except FileNotFoundError:
        return False
