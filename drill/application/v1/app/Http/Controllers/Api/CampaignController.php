<?php

namespace App\Http\Controllers\Api;

use App\Http\Requests\StoreCampaignRequest;
use App\Models\Campaign;
use App\Models\CampaignLog;
use App\Services\CampaignCreator;
use Illuminate\Contracts\Pagination\Paginator;
use Illuminate\Http\JsonResponse;

class CampaignController
{
    public function index(): Paginator
    {
        return Campaign::withCount('logs')->latest('id')->paginate(20);
    }

    public function store(StoreCampaignRequest $request, CampaignCreator $creator): JsonResponse
    {
        $campaign = $creator->create($request->validated(), $request->user());

        return response()->json($campaign->loadCount('logs'), 201);
    }

    public function show(Campaign $campaign): array
    {
        return $campaign->load('template', 'group')->toArray()
            + ['messages' => CampaignLog::countByStatus($campaign->id)];
    }

    public function status(): array
    {
        return ['campaigns' => Campaign::count(), 'messages' => CampaignLog::countByStatus()];
    }
}
