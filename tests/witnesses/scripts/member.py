"""A client that calls nothing but send_to_group, whenever it is connected.

Prints what it receives, an array of JSON on each line, until its stdin ends.
"""

import json
import sys

from azure.messaging.webpubsubclient import WebPubSubClient
from azure.messaging.webpubsubclient.models import (
    CallbackType,
    OnConnectedArgs,
    OnGroupDataMessageArgs,
    WebPubSubDataType,
    WebPubSubProtocolType,
)


def write(*values: object) -> None:
    """Print an array of JSON."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def greet(event: OnConnectedArgs) -> None:
    """Print the connection ID and send a message to the group."""
    write("connected", event.connection_id)
    client.send_to_group(group, "from a client", WebPubSubDataType.TEXT, ack=False)


def record(event: OnGroupDataMessageArgs) -> None:
    """Print a message."""
    write(event.group, event.data)


subprotocol, url, group = sys.argv[1:]
client = WebPubSubClient(url, protocol_type=WebPubSubProtocolType(subprotocol))
client.subscribe(CallbackType.CONNECTED, greet)
client.subscribe(CallbackType.GROUP_MESSAGE, record)
with client:
    sys.stdin.read()
