<?php

namespace App\Http\Controllers\Api;

use App\Http\Requests\StoreHybridCampaignRequest;
use App\Services\CampaignCreator;
use Illuminate\Http\JsonResponse;

class HybridCampaignController
{
    public function store(StoreHybridCampaignRequest $request, CampaignCreator $creator): JsonResponse
    {
        $campaign = $creator->create($request->validated(), $request->user());

        return response()->json($campaign->load('hybridOptions')->loadCount('logs'), 201);
    }
}
