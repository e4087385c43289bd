"""The stories of the gateway, one a file. A flow calls another only downward, as tests/test_floors.py lists."""
