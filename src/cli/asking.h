/* asking.h -- one request after another over a speech, each said again when the server asks for
 * patience, as long as that takes no longer than --timeout in all.
 *
 *     ln_json_writer w = ln_asking_begin(a, "presence");
 *     ln_json_key(&w, "channel"); ...
 *     ln_asking_send(a, &w);
 *
 * The answer has `re` equal to a->id. Only one request is under way at a time, so order is kept.
 */
#ifndef LN_CLI_ASKING_H
#define LN_CLI_ASKING_H
#include "cli/speech.h"

enum { /* of the native protocol */
    LN_ASKING_NOT_AVAILABLE = 108,
    LN_ASKING_RATE_LIMITED = 111
};

typedef struct ln_asking {
    ln_speech speech; /* first */
    ln_buf frame;     /* the request under way */
    uint64_t id, waited_ms;
    bool pausing; /* the alarm means: say it again */
} ln_asking;

void ln_asking_init(ln_asking *a);
void ln_asking_fini(ln_asking *a);
/* {"type":TYPE,"id":N and what is written next. */
ln_json_writer ln_asking_begin(ln_asking *a, const char *type);
/* Sends what was written; without memory it says so and leaves with 1. */
void ln_asking_send(ln_asking *a, ln_json_writer *w);
/* An error came. Whether the request will be said again: for rate_limited, and for not_available
 * too where that can do no harm. */
bool ln_asking_patient(ln_asking *a, const ln_said *said, bool harmless);
/* An answer came: nothing is waited for. */
void ln_asking_answered(ln_asking *a);
/* For a talk's events. */
void ln_asking_alarm(ln_talk *t);
#endif
