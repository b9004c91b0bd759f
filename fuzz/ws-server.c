/* Our server, and whatever a client may send; see ws.h. */
#include "ws.h"

void fuzz_one(ln_slice in) {
    fuzz_ws(false, in);
}
