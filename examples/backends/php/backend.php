<?php
// A backend for `linnet serve` in PHP: it receives webhooks, checks who sent them, publishes, and
// mints tokens. Try: WEBHOOK_KEY=$(cat hook.key) LINNET_API_KEY=... php -S 127.0.0.1:3000 backend.php
//
// Whoever subscribes to a channel that begins with "private" is refused; the call "add" adds, and the
// call "announce" publishes what it was given in the channel "news".
// Ids that have been seen belong into a store that all PHP processes share; here it is a folder.
declare(strict_types=1);

const WINDOW_S = 300;

function bytes_of(string $key): string
{
    return str_starts_with($key, 'whsec_') ? base64_decode(substr($key, 6), true) : $key;
}

/** True when a webhook is ours and of now. */
function verify(string $id, string $time, string $signature, string $body, string $key): bool
{
    if ($id === '' || !ctype_digit($time) || abs(time() - (int) $time) > WINDOW_S) return false;
    $wanted = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", bytes_of($key), true));
    foreach (explode(' ', $signature) as $given)
        if (hash_equals($wanted, $given)) return true;
    return false;
}

/** A second one with the same id is a replay, or news that came twice. */
function is_new(string $id): bool
{
    $folder = sys_get_temp_dir() . '/linnet-hooks';
    if (!is_dir($folder)) mkdir($folder, 0700, true);
    $file = @fopen("$folder/" . hash('sha256', $id), 'x');
    return $file !== false && fclose($file);
}

/** A token that says who somebody is (HS256). */
function mint(array $claims, string $secret): string
{
    $part = fn (string $data): string => rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
    $text = $part('{"alg":"HS256","typ":"JWT"}') . '.' . $part(json_encode($claims));
    return $text . '.' . $part(hash_hmac('sha256', $text, $secret, true));
}

const TRIES = 4;

/**
 * Publishes, and gives the place it has: epoch and offset. Sent again where no answer came, or one
 * that says so: the key makes it one publication however often it arrives.
 */
function publish(string $channel, mixed $data, string $event = 'message'): array
{
    $url = (getenv('LINNET_URL') ?: 'http://127.0.0.1:8080') . '/api/v1/publish';
    $body = ['channel' => $channel, 'data' => $data, 'event' => $event, 'key' => bin2hex(random_bytes(16))];
    $http = ['method' => 'POST', 'timeout' => 5, 'ignore_errors' => true, 'content' => json_encode($body),
        'header' => ['Content-Type: application/json', 'Authorization: Bearer ' . getenv('LINNET_API_KEY')]];
    for ($n = 1;; $n++) {
        $said = @file_get_contents($url, false, stream_context_create(['http' => $http]));
        $answer = is_string($said) ? json_decode($said, true) : null;
        if (isset($answer['ok'])) return $answer['ok'];
        $again = $answer === null || ($answer['error']['retry'] ?? false);
        if (!$again || $n === TRIES) throw new RuntimeException($answer['error']['message'] ?? 'no answer');
        usleep(random_int(0, 100_000 * 2 ** $n));
    }
}

function announce(mixed $data): array
{
    try {
        return ['data' => publish('news', $data)];
    } catch (RuntimeException $e) {
        error_log('not published: ' . $e->getMessage());
        return ['error' => ['code' => 108, 'message' => 'not published']];
    }
}

function decide(array $question): array
{
    $in_an_hour = time() + 3600;
    if ($question['type'] === 'connect') // ask your session store here, with $question['headers']
        return ['user' => 'guest', 'expires' => $in_an_hour, 'data' => ['motd' => 'hello']];
    if ($question['type'] === 'refresh')
        return ['expires' => $in_an_hour];
    if (in_array($question['type'], ['channel_occupied', 'channel_vacated'], true))
        error_log("{$question['type']} {$question['channel']}");
    if ($question['type'] === 'subscribe' && str_starts_with($question['channel'], 'private'))
        return ['error' => ['code' => 103, 'message' => 'that one is private']];
    if ($question['type'] === 'call' && $question['event'] === 'add')
        return ['data' => array_sum($question['data'])];
    if ($question['type'] === 'call' && $question['event'] === 'announce')
        return announce($question['data']);
    if ($question['type'] === 'call')
        return ['error' => ['code' => 104, 'message' => 'there is no such method']];
    return ['allow' => true];
}

if (PHP_SAPI === 'cli') { // php backend.php mint '{"sub":"anna","exp":...}'
    echo mint(json_decode($argv[2], true), getenv('JWT_SECRET')), "\n";
    exit;
}
$body = file_get_contents('php://input');
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
if (!verify($id, $time, $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '', $body, getenv('WEBHOOK_KEY'))) {
    http_response_code(401);
} elseif (!is_new($id)) {
    http_response_code(409);
} else {
    header('Content-Type: application/json');
    echo json_encode(decide(json_decode($body, true)));
}
