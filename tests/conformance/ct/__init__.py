"""The conformance tester: one small WebSocket codec of its own, a way to open
connections to the testee (server or client), and tables of cases."""
