/* verbs.h -- every verb of the binary: argv[0] is the verb, the result is the exit code.
 */
#ifndef LN_CLI_VERBS_H
#define LN_CLI_VERBS_H

int ln_verb_call(int argc, char **argv);
int ln_verb_config(int argc, char **argv);
int ln_verb_connect(int argc, char **argv);
int ln_verb_doctor(int argc, char **argv);
int ln_verb_drain(int argc, char **argv);
int ln_verb_echo(int argc, char **argv);
int ln_verb_history(int argc, char **argv);
int ln_verb_channels(int argc, char **argv);
int ln_verb_presence(int argc, char **argv);
int ln_verb_pub(int argc, char **argv);
int ln_verb_serve(int argc, char **argv);
int ln_verb_status(int argc, char **argv);
int ln_verb_sub(int argc, char **argv);
int ln_verb_tail(int argc, char **argv);
int ln_verb_token(int argc, char **argv);
int ln_verb_version(int argc, char **argv);
int ln_verb_why(int argc, char **argv);
#endif
