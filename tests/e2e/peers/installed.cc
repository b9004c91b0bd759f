// A stranger's echo server, as C++ sees the installed library.
#include <linnet/linnet.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <string>

namespace {

linnet_server *running;

struct Free {
    void operator()(linnet_server *server) const { linnet_server_free(server); }
};

std::string words(linnet_slice s) {
    return std::string(reinterpret_cast<const char *>(s.data), s.size);
}

} // namespace

int main() {
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    options.workers = 2;
    if (linnet_server_new(&options, &running) < 0) return 1;
    std::unique_ptr<linnet_server, Free> server(running);

    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_message = [](linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
        const std::string copy = words(data);
        linnet_slice back = {reinterpret_cast<const uint8_t *>(copy.data()), copy.size()};
        linnet_conn_send(conn, opcode, back);
    };
    char bound[128];
    if (linnet_server_ws(server.get(), "/", &route) < 0) return 1;
    if (linnet_server_listen(server.get(), "127.0.0.1:0", nullptr, bound) < 0) {
        std::cerr << linnet_server_error(server.get()) << '\n';
        return 1;
    }
    std::signal(SIGTERM, [](int) { linnet_server_stop(running, 0); });
    if (linnet_server_start(server.get()) < 0) return 1;
    std::cout << "listening on ws://" << bound << std::endl;
    return linnet_server_join(server.get()) < 0;
}
