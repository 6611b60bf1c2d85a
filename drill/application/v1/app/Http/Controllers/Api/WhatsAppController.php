<?php

namespace App\Http\Controllers\Api;

use App\Services\WhatsAppClient;
use Illuminate\Http\Client\ConnectionException;
use Illuminate\Http\Client\Response;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;

class WhatsAppController
{
    public function __construct(private WhatsAppClient $whatsApp)
    {
    }

    public function index(): JsonResponse
    {
        return $this->relay(fn () => $this->whatsApp->sessions());
    }

    public function restart(Request $request): JsonResponse
    {
        $data = $request->validate(['account' => ['sometimes', 'string', 'max:40']]);

        return $this->relay(fn () => $this->whatsApp->restartSessions($data['account'] ?? null));
    }

    /** @param callable(): Response $call */
    private function relay(callable $call): JsonResponse
    {
        try {
            $response = $call();
        } catch (ConnectionException $e) {
            return response()->json(['message' => 'WhatsApp service is unreachable.'], 502);
        }

        return response()->json($response->json(), $response->status());
    }
}
