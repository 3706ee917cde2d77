"""The exceptions of Headloom.

Every error a user can meet derives from `HeadloomError`; its message says what went wrong, which
value, where (spec id, shard, file, YAML path) and what to do. Whether a failure may be retried is a
property of its type, so that no caller decides by reading messages.
"""


class HeadloomError(Exception):
    """Base of all errors that Headloom raises on purpose.

    Attributes:
        retryable: whether another try may succeed.
        log_tail: of an error in a Blender process, the last lines that it printed.
        spec_id: of such an error, the head that may be its cause, or None: nobody knows, or the
            cause is outside, as with a full disk or a kill.
    """

    retryable = False
    log_tail: str = ""
    spec_id: str | None = None


class ConfigError(HeadloomError):
    """A configuration file or override names an unknown key or holds an impossible value."""


class SpecError(HeadloomError):
    """A head spec is malformed or asks for something that the builders do not know."""


class AssetError(HeadloomError):
    """An asset (HDRI, geometry, weights) is missing, damaged or not the expected version."""


class DeviceError(HeadloomError):
    """The requested device, codec or system library is not available on this machine."""


class NodeUnfit(HeadloomError):
    """A machine of the cluster cannot take part: other versions, no such device, other data.

    The work is not at fault: it is worth a try on another machine.
    """

    retryable = True


class RenderError(HeadloomError):
    """Rendering a head or a shard failed."""


class RenderCrashed(RenderError):
    """The Blender process ended without committing its shard and without a typed error.

    Args:
        message: what happened and to which shard.
        exit_code: exit code of the process; negative values are signals.
        log_tail, spec_id: as `HeadloomError` has them.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        exit_code: int | None = None,
        log_tail: str = "",
        spec_id: str | None = None,
    ):
        super().__init__(message)
        self.exit_code = exit_code
        self.log_tail = log_tail
        self.spec_id = spec_id


class RenderTimeout(RenderError):
    """The Blender process did not finish within its time limit and was ended."""

    retryable = True


class RenderStopped(RenderError):
    """A run of many shards was ended early, because the same trouble hit everything."""


class RenderInvalid(RenderError):
    """A head was rendered, but the picture fails a check (black, empty, out of frame, NaN)."""


class TrainCrashed(HeadloomError):
    """A training process died and did not survive its restarts; the run can be resumed."""


class RecordError(HeadloomError):
    """Something is wrong with a shard or a dataset on disk."""


class RecordCorrupt(RecordError):
    """A shard is truncated, or a digest does not match its bytes."""


class SchemaMismatch(RecordError):
    """A file was written by an incompatible version of Headloom."""


class DatasetMismatch(RecordError):
    """The existing dataset was made with another configuration than the one given."""


class CheckpointError(HeadloomError):
    """A checkpoint is incomplete, or belongs to another model or dataset."""


class InputError(HeadloomError):
    """A file the user handed in cannot be used: unreadable, no face, wrong kind."""
