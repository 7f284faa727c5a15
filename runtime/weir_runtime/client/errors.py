"""What can go wrong between a client and a server."""


class ClientError(Exception):
    """Any of the below."""


class Refused(ClientError):
    """The server does not take the stream; `status` is HTTP's, `retry_after_s` set where a later try may succeed.
    `reason` is the server's word for why it is overloaded, else empty.
    """

    def __init__(self, status: int, error: str, message: str, retry_after_s: float | None, reason: str = "") -> None:
        super().__init__(f"{message} ({error}, HTTP {status})")
        self.status, self.error, self.retry_after_s, self.reason = status, error, retry_after_s, reason


class ConnectionLost(ClientError):
    """No connection, or the socket broke, or nothing was heard for ten seconds, and the stream could not be resumed:
    what was not final is lost. `for_good`: trying again cannot help.
    """

    def __init__(self, message: str, for_good: bool = False) -> None:
        super().__init__(message)
        self.for_good = for_good


class StreamClosed(ClientError):
    """The server ended the stream otherwise than asked; `code` is the close code (docs/protocol.md)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed by the server: {reason or 'no reason given'} ({code})")
        self.code, self.reason = code, reason
