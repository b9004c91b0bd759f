/* types.c -- the part of linnet/types.h that belongs to no other file. */
#include "base/slice.h"

const char *linnet_version(void) {
    return LINNET_VERSION_STRING;
}

linnet_slice linnet_str(const char *text) {
    return ln_slice_str(text);
}
