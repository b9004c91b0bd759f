#include "daemon/folder.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ln_folder_file(const ln_options *o, const char *name, char out[LN_FOLDER_PATH_MAX]) {
    const char *given = getenv("STATE_DIRECTORY"); /* perhaps several, with colons between them */
    const char *folder = o->state_dir ? o->state_dir : given;
    if (!folder || !*folder) return NULL;
    size_t size = o->state_dir ? strlen(folder) : strcspn(folder, ":");
    int n = snprintf(out, LN_FOLDER_PATH_MAX, "%.*s/%s", (int)size, folder, name);
    return n > 0 && n < LN_FOLDER_PATH_MAX ? out : NULL;
}
