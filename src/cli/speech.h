/* speech.h -- the native protocol (docs/protocol.md) as the verbs about channels speak it:
 * linnet.v1 over a talk. Frames in as values, commands out as text; pings are answered here.
 */
#ifndef LN_CLI_SPEECH_H
#define LN_CLI_SPEECH_H
#include "base/json.h"
#include "cli/dialflags.h"
#include "cli/talk.h"

#define LN_SPEECH_URL "ws://127.0.0.1:8080/ws"
#define LN_SPEECH_KEYS_MAX                                                                         \
    (4u << 20) /* in a frame of the server: pages of 1,000 with their infos */

typedef enum ln_said_kind {
    LN_SAID_OTHER,
    LN_SAID_WELCOME,
    LN_SAID_OK,
    LN_SAID_ERROR,
    LN_SAID_MESSAGE,
    LN_SAID_UNSUBSCRIBED,
    LN_SAID_SKIP,
    LN_SAID_PRESENCE,
    LN_SAID_PING
} ln_said_kind;

/* One frame of the server, borrowed. What a frame does not have is 0, false or empty. */
typedef struct ln_said {
    ln_said_kind kind;
    ln_slice raw;              /* the whole object */
    ln_slice channel, data;    /* JSON text; channel with its quotes */
    ln_slice words;            /* JSON text of error.message or reason */
    uint64_t re, code, count;  /* code: of error or unsubscribed */
    uint64_t max, retry_after; /* max: of welcome */
    bool retry;
} ln_said;

/* Reads one object, which was checked. False when it is none. */
bool ln_said_read(const ln_json_value *object, ln_said *out);

typedef struct ln_speech {
    ln_talk talk;                                              /* first */
    void (*on_said)(struct ln_speech *s, const ln_said *said); /* all but pings */
    uint64_t timeout_ms;
    uint64_t max; /* bytes of a frame the server takes; 0 before its welcome */
} ln_speech;

/* For a talk's events. on_open checks that the server chose linnet.v1 and sets an alarm for its
 * welcome. */
void ln_speech_open(ln_talk *t);
void ln_speech_message(ln_talk *t, linnet_opcode opcode, linnet_slice data);
/* A server that closes is a failure, whatever its reasons. */
int ln_speech_close(ln_talk *t, uint16_t code, linnet_slice reason, int err);
/* The alarm: no answer came. */
void ln_speech_late(ln_talk *t);

/* Dials and speaks until the end; the exit code as ln_talk_run. */
int ln_speech_run(ln_speech *s, ln_dialflags *dial, const char *url);
/* Sends a frame and sets the alarm for its answer. Leaves with 1 when it is over the server's
 * limit. */
void ln_speech_say(ln_speech *s, ln_slice frame);
/* "CHANNEL: words (103)" on stderr. */
void ln_speech_complain(const char *channel, const ln_said *said);
/* `text` as the value of `data`: JSON as it is, anything else as a string. */
void ln_speech_put_data(ln_json_writer *w, ln_slice text);
/* JSON on one line: line ends between its tokens become spaces. */
void ln_speech_print(ln_slice json);
#endif
