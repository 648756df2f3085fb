"""The capture thread: reads the camera, keeps only the newest frame, counts those that were overtaken."""

import threading
from types import TracebackType
from typing import Final

from handmap.values import DepthFrame

from .camera import Camera

POLL_S: Final = 0.2  # longest wait inside the camera before the thread looks whether it shall stop
JOIN_S: Final = 0.5


class Capture:
    """Runs from `with` to its end; the camera is closed there. What the camera raises comes out of `wait_newest`."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._ready = threading.Condition()
        self._newest: DepthFrame | None = None
        self._failure: Exception | None = None
        self._is_stopping = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        self._camera.close()
        self._thread.join(JOIN_S)

    @property
    def has_ended(self) -> bool:
        """Whether the stream has ended and its last frame was taken."""
        with self._ready:
            return self._camera.has_ended and self._newest is None

    def wait_newest(self, timeout_s: float) -> DepthFrame | None:
        """The newest frame that was not given out yet, or None if none came in time.

        Raises whatever the camera raised.
        """
        with self._ready:
            self._ready.wait_for(self._has_news, timeout_s)
            frame, self._newest = self._newest, None
            if frame is None and self._failure is not None:
                raise self._failure
        if frame is not None:
            self._camera.taken()
        return frame

    def published(self) -> None:
        """Says that the frame given out last was published."""
        self._camera.published()

    def _has_news(self) -> bool:
        return self._newest is not None or self._failure is not None or self._camera.has_ended

    def _read(self) -> None:
        try:
            while not self._is_stopping:
                frame = self._camera.wait_frame(POLL_S)
                if frame is not None:
                    self._keep(frame)
                elif self._camera.has_ended:
                    with self._ready:
                        self._ready.notify()
                    return
        except Exception as error:  # noqa: BLE001  carried to the main loop, which knows what to do with each kind
            with self._ready:
                self._failure = error
                self._ready.notify()

    def _keep(self, frame: DepthFrame) -> None:
        with self._ready:
            if self._newest is not None:
                self.dropped += 1
            self._newest = frame
            self._ready.notify()
