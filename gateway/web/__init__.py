"""The surface: the only rooms, with app.py, that know ASGI and Starlette. Thin: they read, ask a flow, and answer."""
