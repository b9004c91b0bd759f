/* talk.h -- one conversation of a program with a server: dial, wait for messages, lines on stdin
 * and signals at the same time, and leave with an exit code.
 *
 * stdin is read only while the connection is open, its owner wants lines and not too much waits to
 * be sent; so a file of any size passes through a slow connection in little memory.
 */
#ifndef LN_CLI_TALK_H
#define LN_CLI_TALK_H
#include "cli/lines.h"
#include <linnet/client.h>

typedef struct ln_talk ln_talk;

typedef struct ln_talk_events {
    void (*on_open)(ln_talk *t);
    void (*on_message)(ln_talk *t, linnet_opcode opcode, linnet_slice data);
    /* The server, or the line, ended it. Returns the exit code. */
    int (*on_close)(ln_talk *t, uint16_t code, linnet_slice reason, int err);
    void (*on_line)(ln_talk *t, ln_slice line); /* NULL: stdin is left alone */
    void (*on_end)(ln_talk *t);                 /* stdin is at its end */
    void (*on_alarm)(ln_talk *t);               /* what ln_talk_alarm asked for */
} ln_talk_events;

struct ln_talk {
    const ln_talk_events *events;
    void *user;
    uint32_t line_max; /* bytes of a line that may be sent */
    bool hold;         /* no lines for now */

    linnet_loop *loop;
    linnet_timer *alarm;
    linnet_conn *conn; /* from on_open to on_close */
    const char *url;
    ln_lines lines;
    bool input_over;
    int code; /* of the program; -1 while it goes on */
};

/* Dials with `options` (events and user are filled in) and talks until the end. Returns the exit
 * code: what on_close said or ln_talk_leave was given; 1 could not connect, 2 wrong use, 130 after
 * INT. */
int ln_talk_run(ln_talk *t, linnet_dial_options *options);
/* Closes with 1000 and leaves with this code, whatever the peer answers. */
void ln_talk_leave(ln_talk *t, int code);
/* Calls on_alarm once, so many milliseconds from now, instead of what was asked for before; 0:
 * never. */
void ln_talk_alarm(ln_talk *t, uint64_t ms);
/* "closed with 1012 'words'" or why it broke, on stderr. */
void ln_talk_say_close(uint16_t code, linnet_slice reason, int err);
#endif
