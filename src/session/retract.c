/* retract.c -- word of publications that were taken back, for those who have shown them. Only
 * linnet.v1 has words for it.
 */
#include "session/inner.h"

/* The data of the word is an object that is not empty: what is said goes in front of it. */
static int put(ln_buf *out, const ln_publication *p) {
    ln_slice data = ln_publication_data(p);
    int err = ln_buf_add(out, LN_SLICE("{\"type\":\"retracted\",\"channel\":"));
    if (err < 0) return err;
    ln_json_writer w = ln_json_begin(out);
    ln_json_str(&w, ln_publication_channel(p));
    err = ln_json_end(&w);
    if (err == LINNET_OK) err = ln_buf_add_byte(out, ',');
    return err == LINNET_OK ? ln_buf_add(out, ln_slice_sub(data, 1, data.size)) : err;
}

void ln_retract_aside(ln_sessions *n, ln_row *row, const ln_publication *p) {
    if (row->user != LN_USER_NATIVE) return;
    ln_rendering *r = NULL;
    if (put(&n->out, p) == LINNET_OK) r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(&n->out));
    ln_scratch_clear(&n->out);
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    r->flags |= LN_RENDERING_ITEM;
    ln_fan_out(row, r);
    ln_rendering_unref(r);
}
