"""The data plane of endpoints: model servers, the router in front of them, data capture."""
