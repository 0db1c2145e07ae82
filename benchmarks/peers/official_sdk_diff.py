"""Compare a group with a file of users, in a loop over the official Python SDK.

`python official_sdk_diff.py ROWS.csv ORIGIN GROUP`, the access key in ACCESS_KEY. Prints which
users would be added to the group, and which connections would be removed from it.
"""

import csv
import os
import sys
from pathlib import Path

from azure.messaging.webpubsubservice import WebPubSubServiceClient


def main() -> None:
    """List the group, read the file, and print what is in one of them only."""
    name, origin, group = sys.argv[1:]
    settings = f"Endpoint={origin};AccessKey={os.environ['ACCESS_KEY']};Version=1.0;"
    with WebPubSubServiceClient.from_connection_string(settings, hub="chat") as client:
        members = {
            member.connection_id: member.user_id for member in client.list_connections(group=group)
        }
        with Path(name).open(newline="", encoding="utf-8") as file:
            listed = [row["userId"] for row in csv.DictReader(file)]
        present, wanted = set(members.values()), set(listed)
        for user in listed:
            if user not in present and client.user_exists(user):
                print("+", user)
        for connection, member in members.items():
            if member not in wanted:
                print("-", connection, member)


if __name__ == "__main__":
    main()
