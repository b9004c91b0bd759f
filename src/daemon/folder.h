/* folder.h -- where `linnet serve` keeps what is to outlive it: state.dir, or the folder that the
 * service manager gives it (StateDirectory=). Without either it keeps nothing.
 */
#ifndef LN_DAEMON_FOLDER_H
#define LN_DAEMON_FOLDER_H
#include "daemon/options.h"

#define LN_FOLDER_PATH_MAX 4096

/* The whole name of a file there, made in `out`; NULL: there is no such folder. */
const char *ln_folder_file(const ln_options *o, const char *name, char out[LN_FOLDER_PATH_MAX]);
#endif
