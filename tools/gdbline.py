"""COM2 of an emulator as a TCP port of this computer, for gdb. Connections come and go, one at a time; without one, what the
guest sends is lost, as on a serial line that nobody listens to."""
import contextlib
import select
import socket
import threading

CHUNK = 4096


class GdbLine:
    """line: the socket that is COM2; port: of this computer, 0 for a free one, see `port`."""

    def __init__(self, port):
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = None

    def serve(self, line):
        self._thread = threading.Thread(target=self._run, args=(line,), daemon=True)
        self._thread.start()

    def close(self):
        self._stop.close()
        if self._thread:
            self._thread.join()
        self.server.close()
        self._stopped.close()

    def _run(self, line):
        client = None
        with line, contextlib.ExitStack() as stack:
            while True:
                wanted = [self._stopped, line, client or self.server]
                ready, _, _ = select.select(wanted, [], [])
                if self._stopped in ready:
                    break
                if self.server in ready:
                    client = stack.enter_context(self.server.accept()[0])
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if line in ready and not self._pass(line, client):
                    break
                if client in ready and not self._pass(client, line):
                    client.close()
                    client = None

    @staticmethod
    def _pass(source, target):
        """Hands on what has come. False: the source has ended."""
        with contextlib.suppress(ConnectionError):
            data = source.recv(CHUNK)
            if data and target:
                with contextlib.suppress(ConnectionError):
                    target.sendall(data)
            return bool(data)
        return False
