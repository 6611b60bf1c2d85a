<?php

namespace App\Http\Controllers\Api;

use App\Services\HealthChecks;
use Illuminate\Http\JsonResponse;
use Throwable;

class HealthController
{
    public function show(HealthChecks $checks): JsonResponse
    {
        try {
            $checks->database();
        } catch (Throwable $e) {
            return $this->answer(false);
        }

        return $this->answer(true);
    }

    public function detailed(HealthChecks $checks): JsonResponse
    {
        $results = $checks->detailed();
        $healthy = collect($results)->every(fn (array $result) => $result['status'] === 'ok');

        return $this->answer($healthy, $results);
    }

    private function answer(bool $healthy, array $details = []): JsonResponse
    {
        return response()->json(
            ['status' => $healthy ? 'ok' : 'failed', 'version' => config('campaign.version')] + $details,
            $healthy ? 200 : 503
        );
    }
}
