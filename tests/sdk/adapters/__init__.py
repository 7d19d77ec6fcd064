"""One vocabulary over Alibaba's two Python SDKs, so that one test judges the server through both.

An adapter only translates names: it adds no retry, no check and no default of its own. What an SDK refuses before
sending anything stays that SDK's own exception; what the server refuses is always `Refused`.
"""

from .reply import Entry, Listing, Part, Refused, Reply, Upload
from .oss2_sdk import Oss2
from .v2_sdk import OssV2

__all__ = ["Entry", "Listing", "Oss2", "OssV2", "Part", "Refused", "Reply", "Upload"]
