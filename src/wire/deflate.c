#include "wire/deflate.h"
#include "base/mem.h"
#include "wire/squeeze.h"
#include <assert.h>
#include <libdeflate.h>
#include <zlib.h>

#define BITS_MIN      9 /* zlib cannot deflate with a raw window of 8 */
#define SHARED_MEMORY 8 /* memLevel of the deflaters that all connections of a worker share */
/* libdeflate's levels 2 and 3; for what is long the first is over 5 % larger than zlib's level 6.
 */
#define ONE_SHOT      2
#define ONE_SHOT_LONG (24 * 1024)
#define LEVEL_EXACT   7 /* from here on it is asked for size, not speed */
#define ROOM_LEAST    64
#define INFLATE_ROOM  65536 /* for one call, or four times the input */
#define INFLATE_RATIO 1032  /* no byte becomes more than that */
#define AT_ONCE_LEAST 2048  /* compressed bytes from which libdeflate inflates faster than zlib */

static const uint8_t tail[4] = { 0x00, 0x00, 0xff, 0xff };
/* The tail, then an empty last block: what makes a message whole for a decoder that wants an end.
 */
static const uint8_t tail_and_end[6] = { 0x00, 0x00, 0xff, 0xff, 0x03, 0x00 };

struct ln_deflater {
    z_stream z;
    uint8_t bits, level;
    bool takeover;
};

struct ln_inflater {
    z_stream z;
    uint64_t produced; /* bytes of the message under way */
    uint8_t bits;
    bool takeover;
    bool between; /* two blocks, on a byte boundary; also before the first one */
};

/* Room for about `hint` bytes, or for what the maximum leaves, if that is anything. */
static int some_room(ln_buf *out, size_t hint) {
    int err = ln_buf_reserve(out, hint);
    if (err != LINNET_ERR_TOO_BIG) return err;
    size_t left = out->max - out->size;
    return left < 16 ? LINNET_ERR_TOO_BIG : ln_buf_reserve(out, left);
}

/* Deflating --------------------------------------------------------------------------- */

int ln_deflater_new(
    unsigned bits, unsigned level, unsigned memory, bool takeover, ln_deflater **out) {
    assert(bits >= BITS_MIN && bits <= 15);
    assert(level >= 1 && level <= 9);
    assert(memory >= 1 && memory <= 9);
    ln_deflater *d = ln_calloc(1, sizeof(*d));
    if (!d) return LINNET_ERR_NOMEM;
    d->bits = (uint8_t)bits;
    d->level = (uint8_t)level;
    d->takeover = takeover;
    d->z.zalloc = ln_zalloc;
    d->z.zfree = ln_zfree;
    if (deflateInit2(&d->z, (int)level, Z_DEFLATED, -(int)bits, (int)memory, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        ln_free(d);
        return LINNET_ERR_NOMEM;
    }
    *out = d;
    return LINNET_OK;
}

void ln_deflater_free(ln_deflater *d) {
    if (!d) return;
    deflateEnd(&d->z);
    ln_free(d);
}

void ln_deflater_reset(ln_deflater *d) {
    deflateReset(&d->z);
}

/* For a shared one, between messages; after a reset nothing is pending, so nothing is written. */
static void set_level(ln_deflater *d, unsigned level) {
    if (d->level == level) return;
    deflateReset(&d->z);
    deflateParams(&d->z, (int)level, Z_DEFAULT_STRATEGY);
    d->level = (uint8_t)level;
}

static int deflate_all(ln_deflater *d, ln_slice in, ln_buf *out) {
    d->z.next_in = (Bytef *)(uintptr_t)in.data;
    d->z.avail_in = (uInt)in.size;
    size_t hint = in.size <= 4096 ? deflateBound(&d->z, (uLong)in.size) + 8 : in.size / 2;
    do { /* with less than 7 bytes of room zlib would repeat its flush marker */
        int err = some_room(out, hint);
        if (err < 0) return err;
        ln_wslice room = ln_buf_room(out);
        d->z.next_out = room.data;
        d->z.avail_out = (uInt)room.size;
        if (deflate(&d->z, Z_SYNC_FLUSH) == Z_STREAM_ERROR) return LINNET_ERR_STATE;
        ln_buf_commit(out, room.size - d->z.avail_out);
        hint = ROOM_LEAST;
    } while (d->z.avail_out == 0);
    return LINNET_OK;
}

int ln_deflater_message(ln_deflater *d, ln_slice in, ln_buf *out) {
    if (in.size == 0) return ln_buf_add_byte(out, 0); /* RFC 7692 7.2.3.6; zlib would say nothing */
    if (in.size > LN_BUF_MAX) return LINNET_ERR_TOO_BIG;
    if (!d->takeover) deflateReset(&d->z);

    uint32_t before = out->size;
    int err = deflate_all(d, in, out);
    if (err < 0) {
        out->size = before;
        deflateReset(&d->z);
        return err;
    }
    assert(out->size - before > sizeof(tail));
    out->size -= (uint32_t)sizeof(tail);
    return LINNET_OK;
}

/* Inflating --------------------------------------------------------------------------- */

int ln_inflater_new(unsigned bits, bool takeover, ln_inflater **out) {
    assert(bits >= 8 && bits <= 15);
    ln_inflater *i = ln_calloc(1, sizeof(*i));
    if (!i) return LINNET_ERR_NOMEM;
    i->bits = (uint8_t)bits;
    i->takeover = takeover;
    i->between = true;
    i->z.zalloc = ln_zalloc;
    i->z.zfree = ln_zfree;
    if (inflateInit2(&i->z, -(int)bits) != Z_OK) {
        ln_free(i);
        return LINNET_ERR_NOMEM;
    }
    *out = i;
    return LINNET_OK;
}

void ln_inflater_free(ln_inflater *i) {
    if (!i) return;
    inflateEnd(&i->z);
    ln_free(i);
}

void ln_inflater_reset(ln_inflater *i) {
    inflateReset(&i->z);
    i->produced = 0;
    i->between = true;
}

/* One call of inflate into the room of *out, or, when nothing more may come, into a single byte
 * that only exists to show that there is more. *result is zlib's.
 *
 * How much room follows from the input alone, not from the capacity that *out happens to have: a
 * distance beyond the window passes zlib where it stays within what the same call wrote, so room
 * decides whether a peer that cheats about its window is caught. */
static int inflate_some(ln_inflater *i, uint64_t limit, ln_buf *out, int *result) {
    uint8_t beyond;
#if !defined(LN_PLANT) || LN_PLANT != 6 /* fuzz/plants */
    uint64_t may = limit - i->produced;
#else
    uint64_t may = limit - i->produced ? limit - i->produced : 1;
#endif
    if (may > out->max - out->size) may = out->max - out->size;
    ln_wslice room = { &beyond, 1 };
    if (may) {
        size_t in = i->z.avail_in, size = INFLATE_RATIO * in + ROOM_LEAST;
        if (size > INFLATE_ROOM) size = INFLATE_ROOM;
        if (size < 4 * in) size = 4 * in;
        if (size > may) size = (size_t)may;
        int err = ln_buf_reserve(out, size);
        if (err < 0) return err;
        room = (ln_wslice){ ln_buf_room(out).data, size };
    }
    i->z.next_out = room.data;
    i->z.avail_out = (uInt)room.size;
    *result = inflate(&i->z, Z_SYNC_FLUSH);

    size_t got = room.size - i->z.avail_out;
    if (!may) return got ? LINNET_ERR_TOO_BIG : LINNET_OK;
    ln_buf_commit(out, got);
    i->produced += got;
    return LINNET_OK;
}

/* zlib tells its position in data_type (zlib.h), but forgets it when it is called again with
 * nothing to do, as it is after having filled the room exactly. */
static void note_position(ln_inflater *i, int result) {
    bool now = (i->z.data_type & 128) && !(i->z.data_type & 63);
    i->between = now || (result == Z_BUF_ERROR && i->between);
}

static int inflate_all(ln_inflater *i, ln_slice in, uint64_t limit, ln_buf *out) {
    if (in.size > UINT32_MAX) return LINNET_ERR_TOO_BIG;
    i->z.next_in = (Bytef *)(uintptr_t)in.data;
    i->z.avail_in = (uInt)in.size;
    int result = Z_BUF_ERROR;
    while (i->z.avail_in > 0 || (result == Z_OK && i->z.avail_out == 0)) {
        int err = inflate_some(i, limit, out, &result);
        if (err < 0) return err;
        if (result == Z_MEM_ERROR) return LINNET_ERR_NOMEM;
        note_position(i, result);
        if (result == Z_STREAM_END) { /* BFINAL: go on behind it, with the window kept (D6) */
            inflateResetKeep(&i->z);
            i->between = true;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return LINNET_ERR_DEFLATE;
        }
    }
    return LINNET_OK;
}

/* A stripped message stands inside the header of an empty stored block, which the tail completes.
 * One that stands between blocks was not stripped, ended with BFINAL, or is empty (D5 to D7). */
static int inflate_end(ln_inflater *i, uint64_t limit, ln_buf *out) {
    if (i->between) return LINNET_OK;
    int err = inflate_all(i, ln_slice_of(tail, sizeof(tail)), limit, out);
    if (err < 0) return err;
    return i->between ? LINNET_OK : LINNET_ERR_DEFLATE;
}

int ln_inflater_feed(ln_inflater *i, ln_slice in, bool last, uint64_t limit, ln_buf *out) {
    uint32_t before = out->size;
    int err = inflate_all(i, in, limit, out);
    if (err == LINNET_OK && last) err = inflate_end(i, limit, out);
    if (err < 0) out->size = before;
    if (err < 0 || (last && !i->takeover)) ln_inflater_reset(i);
    if (last) i->produced = 0;
    return err;
}

/* What the connections of a worker share ---------------------------------------------- */

void ln_pmd_tools_init(ln_pmd_tools *t) {
    *t = (ln_pmd_tools){ .memory_max = UINT64_C(256) << 20 };
    ln_buf_init(&t->scratch, LN_BUF_MAX);
    ln_buf_init(&t->packed, LN_BUF_MAX);
}

void ln_pmd_tools_fini(ln_pmd_tools *t) {
    for (size_t i = 0; i < sizeof(t->deflaters) / sizeof(t->deflaters[0]); i++)
        ln_deflater_free(t->deflaters[i]);
    ln_inflater_free(t->inflater);
    libdeflate_free_compressor(t->one_shot[0]);
    libdeflate_free_compressor(t->one_shot[1]);
    ln_squeezer_free(t->squeezer);
    libdeflate_free_decompressor(t->unpacker);
    ln_buf_fini(&t->scratch);
    ln_buf_fini(&t->packed);
    *t = (ln_pmd_tools){ 0 };
}

/* The output ends with a BFINAL block on a byte boundary; the 00 begins the empty stored block that
 * the receiver's tail completes (RFC 7692 7.2.3.4). */
static int compress_at_once(ln_pmd_tools *t, ln_slice in, ln_buf *out) {
    int which = in.size >= ONE_SHOT_LONG;
    if (!t->one_shot[which]) t->one_shot[which] = libdeflate_alloc_compressor(ONE_SHOT + which);
    void *c = t->one_shot[which];
    if (!c) return LINNET_ERR_NOMEM;
    int err = ln_buf_reserve(out, libdeflate_deflate_compress_bound(c, in.size) + 1);
    if (err < 0) return err;
    ln_wslice room = ln_buf_room(out);
    size_t n = libdeflate_deflate_compress(c, in.data, in.size, room.data, room.size - 1);
    if (n == 0) return LINNET_ERR_TOO_BIG;
    room.data[n] = 0;
    ln_buf_commit(out, n + 1);
    return LINNET_OK;
}

static int squeeze(ln_pmd_tools *t, unsigned bits, ln_slice in, ln_buf *out) {
    if (!t->squeezer) {
        int err = ln_squeezer_new(&t->squeezer);
        if (err < 0) return err;
    }
    return ln_squeeze(t->squeezer, in, bits, out);
}

int ln_pmd_compress(
    ln_pmd_tools *t, unsigned bits, unsigned level, bool one_shot, ln_slice in, ln_buf *out) {
    assert(bits >= BITS_MIN && bits <= 15);
    bool fast = in.size > 0 && level < LEVEL_EXACT;
    if (fast && in.size <= LN_SQUEEZE_SHORT) return squeeze(t, bits, in, out);
    if (fast && one_shot && (bits == 15 || in.size <= (size_t)1 << bits)) {
        int err = compress_at_once(t, in, out);
        if (err != LINNET_ERR_TOO_BIG) return err; /* only its bound may not have fitted */
    }
    ln_deflater **d = &t->deflaters[bits - BITS_MIN];
    if (!*d) {
        int err = ln_deflater_new(bits, level, SHARED_MEMORY, false, d);
        if (err < 0) return err;
    }
    set_level(*d, level);
    return ln_deflater_message(*d, in, out);
}

/* libdeflate wants the whole input, with an end, and the whole output at once. Its tables cost 2
 * us, so it only pays for what is long. Whatever it does not like is left to zlib to judge:
 * LN_MORE. */
static int inflate_at_once(ln_pmd_tools *t, ln_slice in, uint64_t limit, ln_buf *out) {
    if (!t->unpacker) t->unpacker = libdeflate_alloc_decompressor();
    if (!t->unpacker) return LINNET_ERR_NOMEM;
    ln_buf_clear(&t->packed);
    int err = ln_buf_reserve(&t->packed, in.size + sizeof(tail_and_end));
    if (err < 0) return err;
    err = ln_buf_add(&t->packed, in);
    if (err == 0) err = ln_buf_add(&t->packed, ln_slice_of(tail_and_end, sizeof(tail_and_end)));
    if (err == 0) err = some_room(out, 4 * in.size < 4096 ? 4096 : 4 * in.size);
    if (err < 0) return err == LINNET_ERR_TOO_BIG ? LN_MORE : err;

    ln_wslice room = ln_buf_room(out);
    if (room.size > limit) room.size = (size_t)limit;
    ln_slice whole = ln_buf_slice(&t->packed);
    size_t read, written;
    enum libdeflate_result result = libdeflate_deflate_decompress_ex(
        t->unpacker, whole.data, whole.size, room.data, room.size, &read, &written);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE && room.size == limit) return LINNET_ERR_TOO_BIG;
    if (result != LIBDEFLATE_SUCCESS) return LN_MORE;
    bool own_end = read == in.size || (read + 1 == in.size && in.data[read] == 0); /* D6 */
    if (read != whole.size && !own_end) return LN_MORE;
    ln_buf_commit(out, written);
    return LINNET_OK;
}

int ln_pmd_inflate(ln_pmd_tools *t, ln_slice in, uint64_t limit, ln_buf *out) {
    int err = in.size >= AT_ONCE_LEAST ? inflate_at_once(t, in, limit, out) : LN_MORE;
    if (err != LN_MORE) return err;
    if (!t->inflater) {
        err = ln_inflater_new(15, false, &t->inflater);
        if (err < 0) return err;
    }
    return ln_inflater_feed(t->inflater, in, true, limit, out);
}

/* Both are zlib's own figures (zconf.h) with its structs and ours. */
size_t ln_deflater_cost(unsigned bits, unsigned memory) {
    return ((size_t)1 << (bits + 2)) + ((size_t)1 << (memory + 9)) + 6144 + sizeof(ln_deflater);
}

size_t ln_inflater_cost(unsigned bits) {
    return ((size_t)1 << bits) + 7168 + sizeof(ln_inflater);
}

/* Hand-over ------------------------------------------------------------------------------ */

#define WINDOW_MAX 32768

int ln_deflater_save(ln_deflater *d, ln_buf *out) {
    int err = ln_buf_reserve(out, WINDOW_MAX);
    if (err < 0) return err;
    uInt size = 0;
    if (deflateGetDictionary(&d->z, ln_buf_room(out).data, &size) != Z_OK) return LINNET_ERR_STATE;
    ln_buf_commit(out, size);
    return LINNET_OK;
}

int ln_deflater_load(ln_deflater *d, ln_slice window) {
    if (window.size > WINDOW_MAX) return LINNET_ERR_INVAL;
    deflateReset(&d->z);
    if (window.size == 0) return LINNET_OK;
    int result = deflateSetDictionary(&d->z, window.data, (uInt)window.size);
    return result == Z_OK ? LINNET_OK : LINNET_ERR_INVAL;
}

int ln_inflater_save(ln_inflater *i, ln_buf *out) {
    int err = ln_buf_reserve(out, WINDOW_MAX);
    if (err < 0) return err;
    uInt size = 0;
    if (inflateGetDictionary(&i->z, ln_buf_room(out).data, &size) != Z_OK) return LINNET_ERR_STATE;
    ln_buf_commit(out, size);
    return LINNET_OK;
}

int ln_inflater_load(ln_inflater *i, ln_slice window) {
    if (window.size > WINDOW_MAX) return LINNET_ERR_INVAL;
    ln_inflater_reset(i);
    if (window.size == 0) return LINNET_OK;
    int result = inflateSetDictionary(&i->z, window.data, (uInt)window.size);
    if (result == Z_MEM_ERROR) return LINNET_ERR_NOMEM;
    return result == Z_OK ? LINNET_OK : LINNET_ERR_INVAL;
}
