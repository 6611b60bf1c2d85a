<?php

namespace App\Services;

use GuzzleHttp\Exception\ConnectException;
use Illuminate\Http\Client\ConnectionException;
use Illuminate\Http\Client\PendingRequest;
use Illuminate\Http\Client\Response;
use Illuminate\Support\Facades\Http;
use RuntimeException;

class WhatsAppClient
{
    public function __construct(private string $url, private string $token)
    {
    }

    /** @throws MessageRefused when it is certain that nothing was sent; any other exception leaves that open */
    public function send(string $messageId, string $account, string $to, string $body): void
    {
        try {
            $response = $this->http(15)->post('/messages', [
                'message_id' => $messageId,
                'account' => $account,
                'to' => $to,
                'body' => $body,
            ]);
        } catch (ConnectionException $e) {
            throw $this->neverConnected($e) ? new MessageRefused('WhatsApp service is unreachable.', 0, $e) : $e;
        }

        if ($response->status() === 504) {
            throw new RuntimeException('WhatsApp service does not know whether the message went out.');
        }

        if ($response->status() !== 202) {
            throw new MessageRefused("WhatsApp service answered {$response->status()}.");
        }
    }

    public function health(): array
    {
        return $this->http(2)->get('/health')->throw()->json();
    }

    public function sessions(): Response
    {
        return $this->http(5)->get('/sessions');
    }

    public function restartSessions(?string $account): Response
    {
        return $this->http(15)->post('/sessions/restart', array_filter(['account' => $account]));
    }

    private function http(int $timeout): PendingRequest
    {
        return Http::baseUrl($this->url)
            ->withToken($this->token)
            ->acceptJson()
            ->timeout($timeout)
            ->withOptions(['connect_timeout' => min($timeout, 3)]);
    }

    private function neverConnected(ConnectionException $e): bool
    {
        $cause = $e->getPrevious();
        $errno = $cause instanceof ConnectException ? $cause->getHandlerContext()['errno'] ?? null : null;

        return in_array($errno, [CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT], true);
    }
}
