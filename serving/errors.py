"""The one exception family of the server and its client. Standard library only.

    ServingError                 has .code (a gRPC status name), .http_status and .message
      InvalidArgument            the request cannot be right for any model state (HTTP 400)
      NotFound                   model, version, label or file is not there (HTTP 404)
      AlreadyExists              (HTTP 409)
      FailedPrecondition         the model's state or signature forbids it (HTTP 400)
      ResourceExhausted          a queue or a size limit is full (HTTP 429)
      DeadlineExceeded           (HTTP 504)
      Unavailable                try again: loading, draining, unreachable (HTTP 503)
      Unimplemented              (HTTP 501)
      Unauthenticated / PermissionDenied / Cancelled / Internal ...

`.message` goes on the wire as it is, so it never holds a stack trace. What this module does not do:
it knows nothing of grpc or of HTTP servers; those turn `.code` and `.http_status` into their own types.
"""

from __future__ import annotations

# gRPC status number and the HTTP status that TensorFlow Serving's REST API answers with for it.
_CODES: dict[str, tuple[int, int]] = {
    "OK": (0, 200),
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}


class ServingError(Exception):
    """An error that may be shown to a caller. `code` is a gRPC status name such as "NOT_FOUND"."""

    code = "UNKNOWN"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            if code not in _CODES:
                raise ValueError(f"Unknown status code {code!r}; expected one of {', '.join(_CODES)}.")
            self.code = code

    @property
    def number(self) -> int:
        """The gRPC status as the number that is sent on the wire."""
        return _CODES[self.code][0]

    @property
    def http_status(self) -> int:
        return _CODES[self.code][1]


class InvalidArgument(ServingError):
    code = "INVALID_ARGUMENT"


class NotFound(ServingError):
    code = "NOT_FOUND"


class AlreadyExists(ServingError):
    code = "ALREADY_EXISTS"


class FailedPrecondition(ServingError):
    code = "FAILED_PRECONDITION"


class ResourceExhausted(ServingError):
    code = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(ServingError):
    code = "DEADLINE_EXCEEDED"


class Cancelled(ServingError):
    code = "CANCELLED"


class Unavailable(ServingError):
    code = "UNAVAILABLE"


class Unreachable(Unavailable):
    """No server answers at the address; it says which one."""


class Unimplemented(ServingError):
    code = "UNIMPLEMENTED"


class Internal(ServingError):
    code = "INTERNAL"


class Unauthenticated(ServingError):
    code = "UNAUTHENTICATED"


class PermissionDenied(ServingError):
    code = "PERMISSION_DENIED"


_CLASSES = {c.code: c for c in ServingError.__subclasses__()}


def error_of(code: str, message: str) -> ServingError:
    """The exception of the family for a gRPC status name; the base class where no class is named for it."""
    cls = _CLASSES.get(code)
    return cls(message) if cls is not None else ServingError(message, code)


def name_of(number: int) -> str:
    """The gRPC status name of a status number; "UNKNOWN" for a number that gRPC does not define."""
    for name, (value, _) in _CODES.items():
        if value == number:
            return name
    return "UNKNOWN"
