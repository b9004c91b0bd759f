#include "cli/asking.h"

#define RETRY_MS 100 /* when the server does not say how long */

void ln_asking_init(ln_asking *a) {
    ln_buf_init(&a->frame, LN_BUF_MAX);
}

void ln_asking_fini(ln_asking *a) {
    ln_buf_fini(&a->frame);
}

ln_json_writer ln_asking_begin(ln_asking *a, const char *type) {
    ln_buf_clear(&a->frame);
    a->waited_ms = 0;
    ln_json_writer w = ln_json_begin(&a->frame);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, ln_slice_str(type));
    ln_json_key(&w, "id");
    ln_json_u64(&w, ++a->id);
    return w;
}

void ln_asking_send(ln_asking *a, ln_json_writer *w) {
    ln_json_close(w, '}');
    if (ln_json_end(w) == LINNET_OK) {
        ln_speech_say(&a->speech, ln_buf_slice(&a->frame));
        return;
    }
    ln_say("out of memory");
    ln_talk_leave(&a->speech.talk, 1);
}

bool ln_asking_patient(ln_asking *a, const ln_said *said, bool harmless) {
    uint64_t wait = said->retry_after ? said->retry_after : RETRY_MS;
    bool again = said->code == LN_ASKING_RATE_LIMITED ||
                 (harmless && said->code == LN_ASKING_NOT_AVAILABLE);
    if (!said->retry || !again || wait > a->speech.timeout_ms - a->waited_ms) return false;
    a->waited_ms += wait;
    a->pausing = true;
    ln_talk_alarm(&a->speech.talk, wait);
    return true;
}

void ln_asking_answered(ln_asking *a) {
    ln_talk_alarm(&a->speech.talk, 0);
}

void ln_asking_alarm(ln_talk *t) {
    ln_asking *a = (ln_asking *)t;
    if (!a->pausing) {
        ln_speech_late(t);
        return;
    }
    a->pausing = false;
    ln_speech_say(&a->speech, ln_buf_slice(&a->frame));
}
