/* systemd.h -- what a service manager hands over and wants to hear, without its library: listening
 * sockets from descriptor 3 on (sd_listen_fds(3)) and datagrams with the state (sd_notify(3)).
 */
#ifndef LN_DAEMON_SYSTEMD_H
#define LN_DAEMON_SYSTEMD_H
#include <stddef.h>
#include <stdint.h>

#define LN_SYSTEMD_FD_FIRST 3
#define LN_SYSTEMD_FDS_MAX  32

/* How many sockets were handed to this process, from LN_SYSTEMD_FD_FIRST on; 0 mostly. They are
 * made close-on-exec, and the environment forgets them. -1: one of them is not a listening stream
 * socket, or there are too many (told on stderr). */
int ln_systemd_sockets(void);
/* "127.0.0.1:8080", "[::1]:8080" or "unix:PATH" of a listening socket. */
void ln_systemd_address(int fd, char *out, size_t size);
/* "READY=1", "STOPPING=1". Nothing happens without a manager; a manager that does not listen is not
 * our affair. */
void ln_systemd_notify(const char *state);
/* How often the manager wants to hear WATCHDOG=1 from this process; 0: it does not. The environment
 * forgets it. */
uint32_t ln_systemd_watchdog_ms(void);
#endif
