"""The actions of Azure Web PubSub: the action table and what is derived from it. Pure."""
